"""Collectors and sources are asked together; who fails, hangs or contradicts is left out and named."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from framework.errors import InvalidRequestError
from framework.metering import UPDATED, Meter, Monitor
from framework.protocols import MetricsCollector


class Collector:
    def __init__(self, name: str, answer: Callable[[], Any]) -> None:
        self.name = name
        self._answer = answer

    def collect(self) -> Mapping[str, float]:
        answer: Mapping[str, float] = self._answer()
        return answer


def meter(*collectors: MetricsCollector, timeout: float = 30) -> Meter:
    return Meter(lambda: collectors, lambda: timeout)


def fail() -> Mapping[str, float]:
    raise ValueError("no")


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    release = threading.Event()
    yield release
    release.set()


def test_all_measurements_are_in_one_mapping_with_the_time() -> None:
    one = meter(Collector("a", lambda: {"a_bytes": 1.0}))
    assert dict(one.metrics) == {}
    one.add_source("rag", lambda: {"active_sessions_rag": 3})
    before = time.time()
    measured = one.update()
    assert measured is one.metrics
    assert dict(measured) == {"a_bytes": 1.0, "active_sessions_rag": 3, UPDATED: measured[UPDATED]}
    assert before <= measured[UPDATED] <= time.time()
    with pytest.raises(TypeError):
        measured["a_bytes"] = 2.0  # type: ignore[index]  # it is read-only


def test_who_fails_or_hangs_or_answers_nonsense_is_named_once_and_the_others_measured(
    hanging: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    one = meter(
        Collector("raises", fail),
        Collector("exits", lambda: exit()),
        Collector("lists", lambda: [1, 2]),
        Collector("numbers", lambda: {1: 2.0}),
        Collector("good", lambda: {"good": 1.0}),
        timeout=0.2,
    )
    one.add_source("hangs", lambda: {"hung": hanging.wait()})
    one.add_source("last", lambda: {"last": 2.0})
    for _ in range(2):
        assert {key: one.update()[key] for key in ("good", "last")} == {"good": 1.0, "last": 2.0}
    assert set(one.faults) == {"raises", "exits", "lists", "numbers", "hangs"}
    assert one.faults["raises"] == "ValueError: no"
    assert "[1, 2]" in one.faults["lists"]
    assert "still busy" in one.faults["hangs"]
    reported = [text.split()[1] for text in caplog.messages if text.startswith("collector_failed")]
    assert sorted(reported) == [f"collector={one}" for one in ("exits", "hangs", "lists", "numbers", "raises")]


def test_one_that_recovers_is_measured_again(hanging: threading.Event) -> None:
    def wait_or_answer() -> Mapping[str, float]:
        hanging.wait()
        return {"late": 1.0}

    one = meter(Collector("late", wait_or_answer), timeout=0.05)
    assert "late" not in one.update()
    hanging.set()
    deadline = time.monotonic() + 30
    while "late" not in one.update():
        assert time.monotonic() < deadline
    assert dict(one.faults) == {}


def test_what_two_report_is_the_first_ones_and_the_second_is_told() -> None:
    one = meter(Collector("a", lambda: {"x": 1.0}), Collector("b", lambda: {"x": 2.0, "y": 3.0}))
    measured = one.update()
    assert (measured["x"], measured["y"]) == (1.0, 3.0)
    assert one.faults == {"b": "it reports 'x', which 'a' reports already"}


def test_a_source_that_is_taken_away_is_not_asked() -> None:
    one = meter()
    remove = one.add_source("rag", lambda: {"x": 1})
    with pytest.raises(InvalidRequestError, match="'rag' already"):
        one.add_source("rag", dict)
    remove()
    remove()
    assert set(one.update()) == {UPDATED}
    one.add_source("rag", lambda: {"y": 1})
    remove()
    assert "y" in one.update()


def test_a_source_that_is_no_function_or_has_a_collectors_name_is_refused() -> None:
    one = meter(Collector("a", dict))
    with pytest.raises(InvalidRequestError, match="'a' already"):
        one.add_source("a", dict)
    with pytest.raises(InvalidRequestError, match="expected a function"):
        one.add_source("b", {"x": 1})  # type: ignore[arg-type]  # on purpose


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_monitor_updates_at_the_interval_that_is_set_now() -> None:
    settings = {"enabled": True, "interval": 1e9}
    one = meter()
    monitor = Monitor(one, lambda: bool(settings["enabled"]), lambda: settings["interval"])
    monitor.start()
    await until(lambda: UPDATED in one.metrics)
    first = one.metrics[UPDATED]
    settings["interval"] = 0.01
    monitor.adjust()
    await until(lambda: one.metrics[UPDATED] > first)
    settings["enabled"] = False
    monitor.adjust()
    await monitor.stop()
    await monitor.stop()
    last = one.metrics[UPDATED]
    monitor.adjust()
    assert one.metrics[UPDATED] == last


async def test_a_monitor_that_is_switched_off_updates_nothing_until_it_is_switched_on() -> None:
    settings = {"enabled": False}
    one = meter()
    monitor = Monitor(one, lambda: settings["enabled"], lambda: 1e9)
    monitor.start()
    await asyncio.sleep(0)
    assert dict(one.metrics) == {}
    settings["enabled"] = True
    monitor.adjust()
    await until(lambda: UPDATED in one.metrics)
    await monitor.stop()


class Lazy(Mapping[str, float]):
    """Computes what it holds when it is asked, and cannot."""

    def __getitem__(self, key: str) -> float:
        raise ValueError("not to be had")

    def __iter__(self) -> Iterator[str]:
        return iter(("lazy",))

    def __len__(self) -> int:
        return 1


def cancel() -> Mapping[str, float]:
    raise asyncio.CancelledError("its own loop")


async def test_the_monitor_survives_answers_that_cannot_be_read_and_sources_that_are_cancelled() -> None:
    one = meter(Collector("good", lambda: {"good": 1.0}))
    one.add_source("lazy", Lazy)
    one.add_source("cancelled", cancel)
    monitor = Monitor(one, lambda: True, lambda: 0.01)
    monitor.start()
    await until(lambda: "good" in one.metrics)
    first = one.metrics[UPDATED]
    await until(lambda: one.metrics[UPDATED] > first)
    assert dict(one.faults) == {"lazy": "ValueError: not to be had", "cancelled": "CancelledError: its own loop"}
    await monitor.stop()


async def test_the_monitor_goes_on_when_an_update_fails(caplog: pytest.LogCaptureFixture) -> None:
    broken = [RuntimeError("can't start new thread")]

    def timeout() -> float:
        if broken:
            raise broken.pop()
        return 30

    def collectors() -> list[MetricsCollector]:
        timeout()
        return [Collector("good", lambda: {"good": 1.0})]

    one = Meter(collectors, timeout)
    monitor = Monitor(one, lambda: True, lambda: 0.01)
    monitor.start()
    await until(lambda: "good" in one.metrics)
    await monitor.stop()
    assert [text.split()[0] for text in caplog.messages] == ["monitor_failed"]
