"""The ladder of levels, with a simulated clock."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from framework.errors import SettingsError
from plugin_pressure.levels import AGGRESSIVE, CRITICAL, NORMAL, SECONDS, TICKS, WARNING, Ladder, Latch, thresholds

USUAL = thresholds((75, 85, 92), (5, 7, 7))
PERCENTS = st.floats(0, 100) | st.sampled_from([70, 74.9, 75, 78, 80, 85, 88.5, 92, 96])
STEPS = st.floats(0.01, 8)


def test_the_usual_thresholds_are_left_where_the_reference_says() -> None:
    assert USUAL.leave == (70, 78, 85)
    assert [USUAL.reached(one) for one in (0, 74.9, 75, 85, 91.9, 92, 100)] == [0, 0, 1, 2, 2, 3, 3]
    assert [USUAL.kept(CRITICAL, one) for one in (85, 84.9, 78, 77.9, 70, 69.9)] == [3, 2, 2, 1, 1, 0]


@pytest.mark.parametrize("enter", [(85, 75, 92), (75, 92, 92), (75, 95, 92)])
def test_thresholds_out_of_order_are_named(enter: tuple[float, float, float]) -> None:
    with pytest.raises(
        SettingsError, match=rf"warning {enter[0]} %, aggressive {enter[1]} % and critical {enter[2]} %"
    ):
        thresholds(enter, (5, 7, 7))


class Watched(RuleBasedStateMachine):
    """Any readings at any times; the last ones are remembered to say what must be so."""

    def __init__(self) -> None:
        super().__init__()
        self.ladder = Ladder()
        self.now = 100.0
        self.readings: list[tuple[float, float, bool]] = []
        self.changes: list[tuple[float, int, int]] = []

    @rule(percent=PERCENTS, step=STEPS, stalled=st.booleans())
    def look(self, percent: float, step: float, stalled: bool) -> None:
        self.now += step
        former = self.ladder.observe(self.now, percent, USUAL, stalled=stalled)
        self.readings.append((self.now, percent, stalled))
        if former != self.ladder.level:
            self.changes.append((self.now, former, self.ladder.level))

    @rule(percent=PERCENTS, times=st.integers(2, 12), step=STEPS)
    def stay(self, percent: float, times: int, step: float) -> None:
        for _ in range(times):
            self.look(percent, step, stalled=False)

    @invariant()
    def it_never_stays_below_what_is_certain(self) -> None:
        if self.readings:
            _, percent, _ = self.readings[-1]
            for level in (WARNING, AGGRESSIVE, CRITICAL):
                assert percent < USUAL.beyond(level) or self.ladder.level >= level

    @invariant()
    def it_enters_at_once_unless_it_fell_a_moment_ago(self) -> None:
        if self.readings:
            now, percent, stalled = self.readings[-1]
            fell = [when for when, former, level in self.changes if level < former]
            if not fell or now - fell[-1] >= SECONDS:
                assert self.ladder.level >= min(CRITICAL, USUAL.reached(percent) + stalled)

    @invariant()
    def it_falls_only_after_enough_readings_over_enough_time(self) -> None:
        if not self.changes or self.changes[-1][0] != self.now:
            return
        _, former, level = self.changes[-1]
        if level < former:
            low = []
            for when, percent, stalled in reversed(self.readings):
                if USUAL.kept(former, percent) + stalled >= former:
                    break
                low.append((when, min(CRITICAL, USUAL.kept(former, percent) + stalled)))
            assert len(low) >= TICKS
            assert low[0][0] - low[-1][0] >= SECONDS
            assert max(kept for _, kept in low) >= level

    @invariant()
    def it_falls_when_it_may(self) -> None:
        recent = self.readings[-12:]
        if len(recent) == 12 and recent[-1][0] - recent[0][0] >= 2 * SECONDS + 16:
            assert any(
                USUAL.kept(self.ladder.level, percent) + stalled >= self.ladder.level for _, percent, stalled in recent
            )


TestLadder = Watched.TestCase


@given(
    level=st.sampled_from([WARNING, AGGRESSIVE, CRITICAL]),
    noise=st.lists(st.tuples(st.floats(0, 1), st.floats(0.05, 1.5)), min_size=20, max_size=300),
)
def test_noise_at_a_threshold_changes_the_level_once_in_five_seconds_at_most(
    level: int, noise: list[tuple[float, float]]
) -> None:
    ladder, now, changes = Ladder(), 0.0, []
    lowest = USUAL.leave[level - 1] - 3
    while ladder.level < level - 1:  # come from below
        now += 1
        ladder.observe(now, USUAL.enter[level - 2], USUAL)
    floor = USUAL.leave[level - 2] if level > 1 else 0.0
    for height, step in noise:
        now += step
        percent = max(floor, lowest + height * (USUAL.beyond(level) - 0.01 - lowest))
        former = ladder.observe(now, percent, USUAL)
        if former != ladder.level:
            changes.append(now)

    assert all(later - earlier >= SECONDS for earlier, later in itertools.pairwise(changes))


def test_a_level_that_is_certain_is_entered_again_right_after_it_was_left() -> None:
    ladder = Ladder()
    for now, percent in [(0, 76), (1, 60), (3, 60), (6, 60)]:
        ladder.observe(now, percent, USUAL)
    assert ladder.level == NORMAL
    ladder.observe(6.1, 76, USUAL)
    assert ladder.level == NORMAL, "noise"
    ladder.observe(6.2, 80, USUAL)
    assert ladder.level == WARNING


def test_stalls_raise_the_level_by_one_until_they_are_over() -> None:
    ladder, stalls = Ladder(), Latch(10, 5)
    for now, full, expected in [(0, 9, 0), (1, 11, 1), (2, 6, 1), (3, 4, 1), (6, 4, 1), (9, 4, 0)]:
        ladder.observe(now, 30, USUAL, stalled=stalls.observe(full))
        assert ladder.level == expected, now
    ladder.observe(20, 99, USUAL, stalled=True)
    assert ladder.level == CRITICAL


def test_it_falls_to_what_the_worst_of_the_last_readings_needs() -> None:
    ladder = Ladder()
    ladder.observe(0, 95, USUAL)
    for now, percent in [(1, 10), (3, 80), (6, 10)]:
        ladder.observe(now, percent, USUAL)
    assert ladder.level == AGGRESSIVE
