"""What is counted and exported: each number follows from what was done."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from framework import Framework, MetricsManager
from plugin_pool import ReleaseReason, ResourcePool, ShortageError, Tier
from plugin_pool.hosting.collector import PoolCollector
from plugin_pool.hosting.measures import MEASURES, Measures
from plugin_pool.tally import BOUNDS
from plugin_pool.waiter import ThreadWaiter

ONE = {"type": "executor"}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Silent(ThreadWaiter):
    """Waits without a thread."""

    there = True

    def wake(self) -> bool:
        """Say whether there is somebody."""
        return self.there


def join(pool: ResourcePool, task: str, needs: Any = ONE, **more: Any) -> Silent:
    waiter = Silent(task, pool.prepare(needs), **more)
    assert pool.join(waiter)
    return waiter


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> ResourcePool:
    pool = ResourcePool(clock=clock)
    pool.add_resource({"id": "a", "type": "executor"})
    pool.add_resource({"id": "b", "type": "api"})
    pool.add_resource({"id": "c", "type": "camera"})
    return pool


def test_grants_and_releases_by_reason_add_up(pool: ResourcePool) -> None:
    for reason in ReleaseReason:
        assert pool.allocate_resources("t", ONE)
        pool.release_resources("t", reason)
        pool.repair_resource("a")
    for _ in range(4):
        assert pool.allocate_resources("t", ONE)
        assert pool.release_resources("t")
    assert pool.allocate_resources("t", ONE)

    for _ in range(2):  # looking changes nothing
        found = pool.get_statistics()
        assert (found.grants, found.held) == (10, 1)
        assert found.releases == {**dict.fromkeys(ReleaseReason, 1), ReleaseReason.COMPLETED: 5}


def test_what_expires_is_counted_as_such(pool: ResourcePool, clock: Clock) -> None:
    assert pool.allocate_resources("t", ONE, ttl=5)
    clock.now += 6
    pool.sweep()
    pool.close()
    assert pool.get_statistics().releases[ReleaseReason.EXPIRED] == 1


def test_refusals_are_counted_by_what_was_lacking(pool: ResourcePool) -> None:
    pool.allocate_resources("holder", ONE)
    pool.quarantine_resource("b")
    assert not pool.allocate_resources("t", ONE)
    assert not pool.allocate_resources("t", {"type": "api"})
    assert not pool.allocate_resources("t", {"type": "nothing"})
    with pytest.raises(ShortageError):
        pool.acquire("t", ONE, timeout=0)
    with pytest.raises(ShortageError):
        pool.acquire("t", {"type": "nothing"})
    join(pool, "waits")
    assert pool.dismiss("waits")
    assert not pool.dismiss("waits")

    assert pool.get_statistics().refusals == {Tier.FREE: 0, Tier.BUSY: 3, Tier.ERROR: 1, Tier.IMPOSSIBLE: 2}


def test_what_is_kept_for_others_is_told_apart(clock: Clock) -> None:
    pool = ResourcePool(clock=clock, patience=1.0)
    for name in "ab":
        pool.add_resource({"id": name, "type": "executor"})
    pool.allocate_resources("holder", {"type": "executor", "ids": ["a"]})
    join(pool, "gang", {"type": "executor", "count": 2})
    clock.now += 2
    assert not pool.allocate_resources("late", ONE)
    join(pool, "later")
    assert pool.get_statistics().refusals[Tier.FREE] == 1
    assert {one.first: (one.tier, one.tasks, one.waited) for one in pool.get_waiting()} == {
        "gang": (Tier.BUSY, 1, 2.0),
        "later": (Tier.FREE, 1, 0.0),
    }


def test_waits_are_counted_in_buckets_and_only_of_those_who_were_served(pool: ResourcePool, clock: Clock) -> None:
    for seconds in (0.0005, 0.05, 2.0, 1e6):
        pool.allocate_resources("holder", ONE)
        join(pool, "waits")
        clock.now += seconds
        pool.release_resources("holder")
        assert pool.release_resources("waits")
    pool.allocate_resources("holder", ONE)
    assert pool.leave(join(pool, "gives up"))
    gone = join(pool, "gone")
    gone.there = False
    pool.release_resources("holder")

    found = pool.get_statistics()

    assert list(found.waits) == [*BOUNDS, math.inf]
    expected = [sum(one <= bound for one in (0.0005, 0.05, 2.0, 1e6)) for bound in (*BOUNDS, math.inf)]
    assert list(found.waits.values()) == expected
    assert found.waited == pytest.approx(1e6 + 2.0505)
    assert found.left == 2


def test_many_requests_are_not_all_looked_at(pool: ResourcePool) -> None:
    for number in range(7):
        join(pool, f"t{number}", {"type": f"none{number}"}, until=Tier.IMPOSSIBLE)
    assert len(pool.get_waiting(5)) == 5
    assert len(pool.get_waiting()) == 7


def points(reader: InMemoryMetricReader) -> dict[str, dict[str, float]]:
    """Return the values of each metric by the values of its labels."""
    data = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    return {
        metric["name"]: {
            ",".join(point["attributes"].values()): point["value"] for point in metric["data"]["data_points"]
        }
        for each in data["resource_metrics"]
        for scope in each["scope_metrics"]
        for metric in scope["metrics"]
    }


def test_everything_is_exported_with_few_labels(pool: ResourcePool, clock: Clock) -> None:
    reader = InMemoryMetricReader()
    manager = MetricsManager(MeterProvider([reader]).get_meter("test"))
    measures = Measures(pool, manager)
    measures.start()
    pool.allocate_resources("holder", ONE)
    join(pool, "busy")
    join(pool, "impossible", {"type": "nothing"}, until=Tier.IMPOSSIBLE)
    pool.quarantine_resource("c")

    found = points(reader)

    assert found.keys() == {f"framework_pool_{one.name}" for one in MEASURES}
    statuses = {"available": 1, "deployed": 1, "busy": 0, "blocked": 0, "error": 1, "released": 0}
    assert found["framework_pool_entities"] == statuses
    types = {key: value for key, value in found["framework_pool_entities_by_type"].items() if value}
    assert types == {"in_use,executor": 1, "free,api": 1, "out_of_service,other": 1}
    assert found["framework_pool_tasks_waiting"] == {"busy": 1, "error": 0, "impossible": 1, "kept": 0, "unknown": 0}
    assert found["framework_pool_grants"] == {"": 1}
    assert found["framework_pool_leases_held"] == {"": 1}
    clock.now += 0.4
    pool.release_resources("holder")
    found = points(reader)
    assert found["framework_pool_releases"]["completed"] == 1
    assert found["framework_pool_wait_seconds_bucket"]["0.1"] == 0
    assert found["framework_pool_wait_seconds_bucket"]["0.5"] == 1
    assert found["framework_pool_wait_seconds_bucket"]["+Inf"] == 1
    assert found["framework_pool_wait_seconds_count"] == {"": 1}
    assert found["framework_pool_wait_seconds_sum"][""] == pytest.approx(0.4)

    measures.stop()
    assert points(reader)["framework_pool_grants"] == {"": 2}  # a counter must not fall
    assert "framework_pool_entities" not in points(reader)


def test_labels_stay_few_whatever_types_there_are(pool: ResourcePool) -> None:
    for number in range(500):
        pool.add_resource({"id": f"e{number}", "type": f"type{number}"})
    counts = pool.get_type_counts()
    assert len(counts) == 7
    assert counts["other"].free == 501


def test_the_collector_keeps_its_keys_and_has_the_counts(pool: ResourcePool) -> None:
    pool.allocate_resources("t", ONE)
    join(pool, "waits")
    found = PoolCollector(pool).collect()
    report = ("total_resources", "available", "deployed", "busy", "blocked", "error", "released", "waiting")
    assert [found[f"framework_pool_{one}"] for one in report] == [3, 2, 1, 0, 0, 0, 0, 1]
    assert found["framework_pool_waiting_busy"] == 1
    assert found["framework_pool_grants"] == found["framework_pool_leases_held"] == 1


async def test_a_host_has_its_pool_exported_and_no_other() -> None:
    manager = MetricsManager.get_instance()

    def readers() -> int:
        return sum(len(one) for name, one in manager._observed.items() if name.startswith("framework_pool_"))

    before = readers()
    async with Framework.from_config({"plugins": {"pool": {"activation": "startup"}}}) as framework:
        assert readers() == before + len(MEASURES)
        await framework.service("pool")
    assert readers() == before


def test_whatever_threads_do_the_counts_add_up() -> None:
    pool = ResourcePool()
    for number in range(3):
        pool.add_resource({"id": f"e{number}", "type": "executor"})
    changes: Counter[str] = Counter()
    end = pool.follow(lambda change, _: changes.update([change]))
    done = Event()

    def work(number: int) -> None:
        reasons = itertools.cycle([ReleaseReason.COMPLETED, ReleaseReason.CANCELLED, ReleaseReason.PREEMPTED])
        for turn in range(200):
            task = f"t{number}-{turn}"
            if turn % 2:
                pool.acquire(task, {"type": "executor", "count": 1 + number % 2}).release(next(reasons))
            elif pool.allocate_resources(task, ONE):
                pool.release_resources(task, next(reasons))

    def look() -> None:
        while not done.is_set():
            found = pool.get_statistics()
            assert found.grants == found.held + sum(found.releases.values())
            assert min(found.releases.values()) >= 0
            pool.get_waiting()

    with ThreadPoolExecutor(5) as threads:
        looking = threads.submit(look)
        working = [threads.submit(work, number) for number in range(4)]
        for one in working:
            one.result(120)
        done.set()
        looking.result(120)
    end()
    found = pool.get_statistics()
    assert (found.held, found.left) == (0, 0)
    assert found.grants == sum(found.releases.values()) == changes["pool_task_granted"]
    assert found.grants == changes["pool_lease_released"]
    assert max(found.waits.values()) == changes["pool_task_served"] == changes["pool_task_waiting"]
    assert sum(found.refusals.values()) == changes["pool_task_refused"]
    assert found.grants + sum(found.refusals.values()) == 800


def test_what_a_kept_pool_inherits_counts_as_given_and_its_former_life_does_not(tmp_path: Path) -> None:
    with ResourcePool.open(tmp_path) as pool:
        pool.add_resource({"id": "a", "type": "executor"})
        for _ in range(5):
            pool.allocate_resources("t", ONE)
            pool.release_resources("t")
        pool.allocate_resources("held", ONE)
        assert pool.get_statistics().grants == 6
    with ResourcePool.open(tmp_path) as pool:
        found = pool.get_statistics()
        assert (found.grants, found.held, sum(found.releases.values())) == (1, 1, 0)
        pool.release_resources("held")
        pool.allocate_resources("t", ONE)
        found = pool.get_statistics()
        assert (found.grants, found.held, found.releases[ReleaseReason.COMPLETED]) == (2, 1, 1)
