"""What a pool tells of its changes, to functions and to the log."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from framework import Framework
from plugin_pool import ResourcePool, Tier
from plugin_pool import relay as relaying
from plugin_pool.relay import Relay
from plugin_pool.waiter import ThreadWaiter

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PAGE = os.path.join(ROOT, "docs", "reference", "pool.md")
ONE = {"type": "executor"}
LONG = 60.0
"""Seconds after which a test fails that waits for something."""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Silent(ThreadWaiter):
    """Waits without a thread."""

    def wake(self) -> bool:
        """Nobody to wake."""
        return True


class Diary:
    """Writes down what it is told, and by which thread."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, object]]] = []
        self.threads: set[str] = set()

    def __call__(self, change: str, details: Mapping[str, object]) -> None:
        self.told.append((change, dict(details)))
        self.threads.add(threading.current_thread().name)


def live(pool: ResourcePool, clock: Clock) -> None:
    """Have everything happen that can happen in a pool."""
    pool.add_resource({"id": "a", "type": "executor"})
    pool.add_resource({"id": "b", "type": "executor"})
    pool.allocate_resources("one", ONE, ttl=10)
    pool.mark_executing("one")
    pool.drain("b")
    pool.allocate_resources("two", ONE)
    waiter = Silent("three", pool.prepare(ONE), priority=1)
    assert pool.join(waiter)
    clock.now += 1
    other = Silent("four", pool.prepare(ONE))
    assert pool.join(other)
    clock.now += 1
    pool.leave(other)
    pool.release_resources("one", "failed", faulty=[])
    clock.now += 1
    pool.release_resources("three", "failed")
    pool.repair_resource("a")
    pool.allocate_resources("five", ONE, ttl=1)
    clock.now += 2
    pool.sweep()
    pool.remove_resource("b")
    pool.when_stirred(_interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.join(Silent("six", pool.prepare(ONE), until=Tier.ERROR))
    pool.close()


def _interrupt() -> None:
    raise KeyboardInterrupt


TOLD: list[tuple[str, dict[str, Any]]] = [
    ("pool_entity_added", {"entity": "a", "type": "executor"}),
    ("pool_entity_added", {"entity": "b", "type": "executor"}),
    ("pool_task_granted", {"task": "one", "lease": 1, "resources": ["a"], "count": 1}),
    ("pool_lease_limited", {"task": "one", "lease": 1, "ttl": 10.0}),
    ("pool_lease_marked", {"task": "one", "lease": 1, "usage": "busy"}),
    ("pool_entity_drained", {"entity": "b", "type": "executor"}),
    ("pool_task_refused", {"task": "two", "waited": 0.0, "tier": "busy"}),
    ("pool_task_waiting", {"task": "three", "requirements": "1 executor", "priority": 1}),
    ("pool_task_waiting", {"task": "four", "requirements": "1 executor", "priority": 0.0}),
    ("pool_task_left", {"task": "four", "waited": 1.0}),
    (
        "pool_lease_released",
        {"task": "one", "lease": 1, "resources": ["a"], "count": 1, "reason": "failed", "faulty": 0},
    ),
    ("pool_task_granted", {"task": "three", "lease": 2, "resources": ["a"], "count": 1}),
    ("pool_task_served", {"task": "three", "waited": 2.0}),
    (
        "pool_lease_released",
        {"task": "three", "lease": 2, "resources": ["a"], "count": 1, "reason": "failed", "faulty": 1},
    ),
    ("pool_entity_failed", {"entity": "a", "type": "executor"}),
    ("pool_entity_repaired", {"entity": "a", "type": "executor"}),
    ("pool_task_granted", {"task": "five", "lease": 3, "resources": ["a"], "count": 1}),
    ("pool_lease_limited", {"task": "five", "lease": 3, "ttl": 1.0}),
    (
        "pool_lease_expired",
        {"task": "five", "lease": 3, "resources": ["a"], "count": 1, "reason": "expired", "faulty": 1},
    ),
    ("pool_entity_failed", {"entity": "a", "type": "executor"}),
    ("pool_entity_removed", {"entity": "b", "type": "executor"}),
    ("pool_change_interrupted", {}),
    ("pool_task_left", {"task": "six", "waited": 0.0}),
]


def test_every_change_is_told_in_order_by_a_thread_of_its_own() -> None:
    clock = Clock()
    pool, diary = ResourcePool(clock=clock), Diary()
    end = pool.follow(diary)
    live(pool, clock)
    end()
    end()
    assert diary.told == TOLD
    assert diary.threads == {"pool-relay"}
    pool.add_resource({"id": "z", "type": "executor"})
    assert diary.told == TOLD
    assert "pool-relay" not in {one.name for one in threading.enumerate()}


def test_the_reference_lists_every_change_with_its_fields() -> None:
    with open(PAGE, encoding="utf-8") as file:
        section = file.read().partition("## Changes")[2].partition("## Warnings")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section, re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
    assert listed == {name: set(fields) for name, fields in TOLD}


def test_of_many_entities_ten_are_named() -> None:
    pool, diary = ResourcePool(), Diary()
    for number in range(12):
        pool.add_resource({"id": f"e{number}", "type": "executor"})
    end = pool.follow(diary)
    pool.allocate_resources("gang", {"type": "executor", "count": 12})
    end()
    ((_, details),) = diary.told
    assert len(details["resources"]) == 10  # type: ignore[arg-type]
    assert details["count"] == 12


def test_a_follower_may_call_the_pool_and_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    pool = ResourcePool()
    seen: list[int] = []

    def follower(change: str, details: Mapping[str, object]) -> None:
        seen.append(pool.get_status_report().total_resources)
        raise ValueError(change)

    end = pool.follow(follower)
    with caplog.at_level("ERROR", "framework"):
        for number in range(5):
            pool.add_resource({"id": f"e{number}", "type": "executor"})
        end()
    assert len(seen) == 5
    failed = [record.msg for record in caplog.records]
    assert [one["failures"] for one in failed] == [1, 2, 4]  # type: ignore[index]


def test_a_follower_that_is_too_slow_loses_the_rest_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relaying, "MOST", 3)
    go, begun = threading.Event(), threading.Event()

    def follower(change: str, details: Mapping[str, object]) -> None:
        begun.set()
        assert go.wait(LONG)

    relay = Relay(follower)
    relay.put("first", {})
    assert begun.wait(LONG)
    for _ in range(5):
        relay.put("more", {})
    with caplog.at_level("WARNING", "framework"):
        go.set()
        relay.close()
    assert relay.dropped == 2
    assert [one.msg["dropped"] for one in caplog.records] == [2]  # type: ignore[index]


@pytest.fixture
def level() -> Iterator[logging.Logger]:
    logger = logging.getLogger("framework")
    before = logger.level
    yield logger
    logger.setLevel(before)


async def test_a_host_logs_changes_only_while_somebody_listens(
    level: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    level.setLevel("WARNING")
    async with Framework.from_config({"plugins": {"pool": {"activation": "startup"}}}) as framework:
        pool: Any = await framework.service("pool")
        pool.add_resource({"id": "a", "type": "executor"})
        assert pool._stock.watchers == ()

        with caplog.at_level("DEBUG", "framework"):
            await framework.update_metrics()
            pool.add_resource({"id": "b", "type": "executor"})
            async with asyncio.timeout(LONG):
                while not _entities(caplog):
                    await asyncio.sleep(0)
        level.setLevel("WARNING")
        await framework.update_metrics()
        assert pool._stock.watchers == ()
        pool.add_resource({"id": "c", "type": "executor"})
    assert _entities(caplog) == [("b", "debug")]


def _entities(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    told = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
    return [(one["entity"], one["level"]) for one in told if one["event"] == "pool_entity_added"]
