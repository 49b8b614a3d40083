from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from framework.errors import InvalidRequestError
from plugin_system.alerts import Alert, from_mapping


def watched(value: float | None) -> Any:
    return lambda name: value


def test_it_is_raised_after_long_enough_and_cleared_when_it_came_back_far_enough(
    caplog: pytest.LogCaptureFixture,
) -> None:
    alert = Alert("hot", metric="cpu", above=80, clear=70, for_seconds=10, level="error", message="too hot")
    seen = []
    with caplog.at_level(logging.INFO, "framework"):
        for now, value in ((0, 81), (9, 99), (10, 81), (11, 75), (12, 71), (13, 70), (14, 81), (15, 79), (30, 81)):
            for event in alert.look(watched(value), now):
                event()
            seen.append(alert.state)
    assert seen == [
        "pending", "pending", "raised", "raised", "raised", "clear", "pending", "clear", "pending",
    ]  # fmt: skip
    events = [str(record.msg) for record in caplog.records]
    assert [event.split()[0] for event in events] == ["alert_raised", "alert_cleared"]
    assert "alert=hot metric=cpu value=81 threshold=80 alert_level=error message=too hot" in events[0]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert alert.times == 1


def test_below_is_the_mirror_image() -> None:
    alert = Alert("low", metric="free", below=10, clear=20)
    for value, state in ((9, "raised"), (19, "raised"), (20, "clear"), (10, "clear"), (9.9, "raised")):
        alert.look(watched(value), 0.0)
        assert alert.state == state, value


@pytest.mark.parametrize(("given", "expected"), [({"above": 80}, 76), ({"below": 10}, 10.5), ({"above": -10}, -10.5)])
def test_where_nothing_is_said_a_twentieth_back_is_good(given: dict[str, Any], expected: float) -> None:
    assert Alert("x", metric="m", **given).clear == pytest.approx(expected)


def test_without_data_it_neither_raises_nor_clears() -> None:
    alert = Alert("hot", metric="cpu", above=80, for_seconds=5)
    alert.look(watched(None), 0)
    assert alert.state == "no data"
    alert.look(watched(90), 1)
    alert.look(watched(None), 3)  # the time before it does not count
    alert.look(watched(90), 7)
    assert alert.state == "pending"
    alert.look(watched(90), 12)
    alert.look(watched(None), 13)
    assert alert.state == "raised"


def test_a_condition_is_asked_in_place_of_a_metric_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [True, False, ZeroDivisionError("no"), ZeroDivisionError("no"), True]

    def condition() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    alert = Alert("odd", condition=condition)
    states = []
    with caplog.at_level(logging.ERROR, "framework"):
        for now in range(5):
            for event in alert.look(watched(None), now):
                event()
            states.append(alert.state)
    assert states == ["raised", "clear", "no data", "no data", "raised"]
    assert [str(one.msg).split()[0] for one in caplog.records] == ["alert_failed"]
    assert alert.row()["message"] == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"level": "warnin"}, r"level 'warnin'; allowed: info, warning, error, critical.*warning"),
        ({"metric": "m"}, r"has metric; allowed: a metric and one of above and below"),
        ({"above": 3}, r"has above; allowed: a metric and one of"),
        ({"metric": "m", "above": 3, "below": 2}, r"has metric and above and below; allowed"),
        (
            {"metric": "m", "above": 80, "clear": 90},
            r"above 80 and cleared at 90; allowed: for clear at most 80",
        ),
        ({"metric": "m", "below": 10, "clear": 5}, r"below 10 and cleared at 5; allowed: for clear at least 10"),
        ({"clear": 5}, r"has clear without a threshold"),
        ({"metric": "m", "above": float("nan")}, r"has above = nan; allowed: finite numbers"),
        ({"metric": "m", "above": "80"}, r"has above = '80'; allowed: finite numbers"),
        ({"metric": "m", "above": True}, r"has above = True; allowed: finite numbers"),
        ({"metric": "m", "above": 1, "for_seconds": -1}, r"for_seconds = -1; allowed: 0 and more"),
        ({"metric": "m", "above": 1, "condition": bool}, r"has a metric and a condition"),
        ({"abvoe": 3}, r"unknown key 'abvoe'; allowed: metric, above.*above"),
    ],
)
def test_what_is_no_alert_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"The alert 'mine' .*{message}"):
        from_mapping("mine", given)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="1 to 100 characters"):
        Alert(name)


class Watching(RuleBasedStateMachine):
    """Compares an alert with what its definition says about the whole history."""

    def __init__(self) -> None:
        super().__init__()
        self.alert = Alert("a", metric="m", above=80, clear=70, for_seconds=5)
        self.now = 0.0
        self.raised = False
        self.beyond_since: float | None = None
        self.times = 0

    @rule(value=st.one_of(st.none(), st.sampled_from([0.0, 70.0, 70.1, 80.0, 80.1, 99.0])), wait=st.floats(0, 4))
    def look(self, value: float | None, wait: float) -> None:
        self.now += wait
        self.alert.look(lambda _: value, self.now)
        if self.raised:
            if value is not None and value <= 70:
                self.raised, self.beyond_since = False, None
        elif value is not None and value > 80:
            self.beyond_since = self.now if self.beyond_since is None else self.beyond_since
            if self.now - self.beyond_since >= 5:
                self.raised = True
                self.times += 1
        else:
            self.beyond_since = None

    @invariant()
    def agrees(self) -> None:
        assert (self.alert.state == "raised") is self.raised
        assert (self.alert.since is not None) is self.raised
        assert self.alert.times == self.times


TestWatching = Watching.TestCase
TestWatching.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
