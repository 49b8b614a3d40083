"""Waiting: whose turn it is, what is refused, and that nothing is lost on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from framework.errors import InvalidRequestError
from plugin_pool import AllocationStatus, BlockedReason, DeadlockError, Lease, ResourcePool, ShortageError, Tier

ONE = {"type": "t"}
LONG = 60.0
"""Seconds after which a test fails that waits for something."""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[ResourcePool]:
    """Three equal entities, and a clock that stands still."""
    pool = ResourcePool(clock=clock, patience=5.0, aging=10.0)
    for name in "abc":
        pool.add_resource({"id": name, "type": "t"})
    yield pool
    pool.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0)


async def waiting(pool: ResourcePool, task: str, needs: Any = ONE, **options: Any) -> asyncio.Task[Lease]:
    """Start a task that has to wait, and return when it does."""
    before = pool.get_status_report().waiting
    started = asyncio.create_task(pool.acquire_async(task, needs, **options))
    await until(lambda: pool.get_status_report().waiting > before or started.done())
    assert not started.done(), started
    return started


def hold(pool: ResourcePool, *tasks: str) -> None:
    for task in tasks:
        assert pool.allocate_resources(task, ONE)


async def test_what_is_free_is_had_at_once_and_given_back_at_the_end(pool: ResourcePool) -> None:
    with await pool.acquire_async("task", [{"type": "t", "count": 2}]) as lease:
        assert len(lease.resources) == 2
        assert pool.get_status_report().deployed == 2
        assert lease.mark_executing()
        assert pool.get_status_report().busy == 2
    assert pool.get_status_report().available == 3
    assert not lease.release()


async def test_an_error_in_the_task_is_a_failure_and_its_cancellation_is_none(pool: ResourcePool) -> None:
    with pytest.raises(ZeroDivisionError), pool.acquire("task", ONE):
        raise ZeroDivisionError
    assert pool.get_status_report().error == 1
    with pytest.raises(asyncio.CancelledError), pool.acquire("task", ONE):
        raise asyncio.CancelledError
    assert (pool.get_status_report().error, pool.get_status_report().available) == (1, 2)


async def test_those_who_wait_are_served_in_turn(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    first, second = await waiting(pool, "first"), await waiting(pool, "second")
    assert pool.get_allocation("first") is not None
    assert pool.get_allocation("first").status is AllocationStatus.BLOCKED  # type: ignore[union-attr]
    assert pool.get_allocation("first").blocked_reason is BlockedReason.RESOURCE_SHORTAGE  # type: ignore[union-attr]

    pool.release_resources("2")
    assert (await first).resources == ("b",)
    assert not second.done()
    pool.release_resources("1")
    assert (await second).resources == ("a",)


async def test_priority_overtakes_those_who_do_not_wait_long_enough(pool: ResourcePool, clock: Clock) -> None:
    hold(pool, "1", "2", "3")
    old = await waiting(pool, "old")
    clock.now += 11
    young = await waiting(pool, "young", priority=1)
    younger = await waiting(pool, "younger", priority=2)

    pool.release_resources("1")
    assert (await younger).resources, "20 s for two steps are more than the 11 s by which it came later"
    pool.release_resources("2")
    assert (await old).resources, "10 s for one step are less"
    assert not young.done()
    pool.release_resources("3")
    assert (await young).resources


async def test_what_is_released_goes_to_who_waits_and_to_nobody_who_comes_later(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    first = await waiting(pool, "first")

    pool.release_resources("1")

    assert not pool.allocate_resources("late", ONE), "it was handed over before anybody else could ask"
    assert (await first).resources


async def test_whoever_fits_passes_a_gang_until_it_has_waited_long_enough(pool: ResourcePool, clock: Clock) -> None:
    hold(pool, "1", "2", "3")
    gang = await waiting(pool, "gang", {"type": "t", "count": 3})
    single = await waiting(pool, "single")

    pool.release_resources("1")
    assert (await single).resources
    pool.release_resources("single")
    clock.now += 5
    late = await waiting(pool, "late")
    refused = pool.allocate_resources("now", ONE)
    assert (refused.success, refused.tier) == (False, Tier.FREE)
    assert "waits longer" in refused.error
    assert not pool.check_resource_requirements(ONE)
    pool.release_resources("2")
    assert not late.done()
    urgent = await pool.acquire_async("urgent", ONE, priority=1)
    urgent.release()
    pool.release_resources("3")
    assert len((await gang).resources) == 3
    pool.release_resources("gang")
    assert (await late).resources


async def test_a_gang_keeps_only_what_it_can_use(pool: ResourcePool, clock: Clock) -> None:
    pool.add_resource({"id": "other", "type": "u"})
    hold(pool, "1", "2", "3")
    await waiting(pool, "gang", [{"type": "t", "count": 2}, {"type": "u"}])
    clock.now += 5
    pool.release_resources("1")
    assert not pool.allocate_resources("now", {"type": "u"})
    pool.add_resource({"id": "more", "type": "u"})
    assert pool.allocate_resources("now", {"type": "u"}), "one of the two is enough for the gang"
    assert not pool.allocate_resources("again", {"type": "u"})
    assert not pool.allocate_resources("named", {"ids": ["other"]})


async def test_gangs_that_have_nothing_in_common_keep_what_they_need_at_the_same_time(
    pool: ResourcePool, clock: Clock
) -> None:
    for name in "xy":
        pool.add_resource({"id": name, "type": "u"})
    hold(pool, "1", "2")
    pool.allocate_resources("4", {"type": "u"})
    first = await waiting(pool, "first", {"type": "t", "count": 3})
    second = await waiting(pool, "second", {"type": "u", "count": 2})
    clock.now += 5

    assert not pool.allocate_resources("now", ONE)
    assert not pool.allocate_resources("now", {"type": "u"})
    pool.release_resources("4")
    assert (await second).resources
    assert not first.done()


async def test_when_a_gang_gives_up_the_others_go_on(pool: ResourcePool, clock: Clock) -> None:
    hold(pool, "1", "2", "3")
    gang = await waiting(pool, "gang", {"type": "t", "count": 3})
    clock.now += 5
    single = await waiting(pool, "single")
    pool.release_resources("1")
    assert not single.done()

    gang.cancel()

    assert (await asyncio.wait_for(single, LONG)).resources
    assert gang.cancelled()


@pytest.mark.parametrize(
    ("needs", "tier"),
    [({"type": "t", "count": 4}, Tier.IMPOSSIBLE), ({"type": "u"}, Tier.IMPOSSIBLE), ({"ids": ["d"]}, Tier.ERROR)],
)
def test_what_will_not_be_had_is_refused_at_once(pool: ResourcePool, needs: Any, tier: Tier) -> None:
    pool.add_resource({"id": "d", "type": "broken"})
    pool.quarantine_resource("d")

    with pytest.raises(ShortageError, match="'task' got nothing") as caught:
        pool.acquire("task", needs)

    assert caught.value.tier is tier
    assert caught.value.missing
    assert caught.value.exit_code == (4 if tier is Tier.IMPOSSIBLE else 3)


async def test_who_says_so_waits_for_a_repair_or_for_more(pool: ResourcePool) -> None:
    pool.drain()
    repaired = await waiting(pool, "repaired", ONE, until="error")
    added = await waiting(pool, "added", {"type": "u", "count": 2}, until=Tier.IMPOSSIBLE)

    pool.repair_resource("b")
    assert (await repaired).resources == ("b",)
    pool.add_resource({"id": "u1", "type": "u"})
    assert not added.done()
    pool.add_resource({"id": "u2", "type": "u", "labels": {"another": "class"}})
    assert sorted((await added).resources) == ["u1", "u2"]


async def test_a_named_entity_can_be_waited_for(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    named = await waiting(pool, "named", {"ids": ["c"]})
    new = await waiting(pool, "new", {"ids": ["new"]}, until="impossible")

    pool.release_resources("1")
    assert not named.done()
    pool.release_resources("3")
    assert (await named).resources == ("c",)
    pool.add_resource({"id": "new", "type": "t"})
    assert (await new).resources == ("new",)


@pytest.mark.parametrize("how", ["remove_resource", "quarantine_resource", "drain", "failed"])
async def test_who_waits_for_what_will_not_come_any_more_is_sent_away(pool: ResourcePool, how: str) -> None:
    hold(pool, "1", "2", "3")
    gang = await waiting(pool, "gang", {"type": "t", "count": 3})
    patient = await waiting(pool, "patient", {"type": "t", "count": 3}, until="impossible")
    single = await waiting(pool, "single", {"ids": ["c"]})

    if how == "failed":
        pool.release_resources("1", "failed")
    else:
        if how == "remove_resource":
            pool.release_resources("1")
        getattr(pool, how)("a")

    with pytest.raises(ShortageError) as caught:
        await asyncio.wait_for(gang, LONG)
    assert caught.value.tier is (Tier.IMPOSSIBLE if how == "remove_resource" else Tier.ERROR)
    assert not patient.done()
    assert not single.done()
    patient.cancel()
    single.cancel()


def test_a_thread_waits_no_longer_than_it_said() -> None:
    pool = ResourcePool()
    pool.add_resource({"id": "a", "type": "t"})
    hold(pool, "1")

    with pytest.raises(ShortageError, match="It waited") as caught:
        pool.acquire("task", ONE, timeout=0.01)

    assert caught.value.tier is Tier.BUSY
    assert pool.get_status_report().waiting == 0
    with pytest.raises(ShortageError):
        pool.acquire("task", ONE, timeout=0)


async def test_a_coroutine_waits_no_longer_than_it_said(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")

    with pytest.raises(ShortageError):
        await pool.acquire_async("task", ONE, timeout=0.01)

    assert pool.get_status_report().waiting == 0


async def test_a_thread_must_not_stop_its_event_loop(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")

    with pytest.raises(InvalidRequestError, match="acquire_async"):
        pool.acquire("task", ONE)

    assert pool.get_status_report().waiting == 0


async def test_what_was_handed_over_to_a_cancelled_task_goes_to_the_next(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    first, second = await waiting(pool, "first"), await waiting(pool, "second")

    pool.release_resources("1")
    first.cancel()

    assert (await asyncio.wait_for(second, LONG)).resources == ("a",)
    assert first.cancelled()
    assert pool.get_status_report().error == 0


async def test_a_task_waits_once_and_holds_once(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    task = await waiting(pool, "task")

    with pytest.raises(InvalidRequestError, match="'task' waits already"):
        await pool.acquire_async("task", ONE)
    with pytest.raises(InvalidRequestError, match=r"'1' holds a\."):
        await pool.acquire_async("1", ONE)
    with pytest.raises(InvalidRequestError, match="waits already"):
        pool.allocate_resources("task", ONE)
    task.cancel()


def test_what_a_closed_loop_waited_for_goes_to_the_next() -> None:
    pool = ResourcePool()
    pool.add_resource({"id": "a", "type": "t"})
    hold(pool, "1")
    loop = asyncio.new_event_loop()
    left = loop.create_task(pool.acquire_async("left", ONE))
    loop.run_until_complete(until(lambda: pool.get_status_report().waiting == 1))
    loop.close()
    with ThreadPoolExecutor(1) as threads:
        next_one = threads.submit(pool.acquire, "next", ONE, timeout=LONG)
        while pool.get_status_report().waiting < 2:
            pass
        pool.release_resources("1")
        assert next_one.result(LONG).resources == ("a",)
    left._log_destroy_pending = False  # type: ignore[attr-defined]  # its loop was closed on purpose


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priority": float("nan")}, "finite"),
        ({"priority": "high"}, "high"),
        ({"timeout": -1}, "timeout is -1"),
        ({"ttl": "soon"}, "time to live is 'soon'"),
        ({"until": "never"}, "'never'"),
    ],
)
def test_wrong_parameters_are_refused(pool: ResourcePool, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        pool.acquire("task", ONE, **options)

    assert pool.get_status_report().available == 3


def test_a_task_can_ask_for_more(pool: ResourcePool) -> None:
    lease = pool.acquire("task", ONE)
    pool.mark_executing("task")

    assert pool.extend("task", {"type": "t", "count": 2}) is lease
    assert sorted(lease.resources) == ["a", "b", "c"]
    assert pool.get_status_report().busy == 3
    assert lease.release()
    assert pool.get_status_report().available == 3
    with pytest.raises(InvalidRequestError, match="holds nothing"):
        pool.extend("task", ONE)


async def test_who_would_wait_for_ever_is_told_so(pool: ResourcePool) -> None:
    pool.acquire("x", {"ids": ["a"]})
    pool.acquire("y", {"ids": ["b"]})
    pool.acquire("z", {"ids": ["c"]})
    first = asyncio.create_task(pool.extend_async("x", {"ids": ["b"]}))
    second = asyncio.create_task(pool.extend_async("y", {"ids": ["c"]}))
    await until(lambda: pool.get_status_report().waiting == 2)

    with pytest.raises(DeadlockError, match="'z' would wait for ever") as caught:
        await pool.extend_async("z", {"ids": ["a"]})

    assert set(caught.value.tasks) == {"x", "y", "z"}
    assert pool.get_status_report().waiting == 2
    pool.release_resources("z")
    assert (await asyncio.wait_for(second, LONG)).resources == ("b", "c")
    pool.release_resources("y")
    assert (await asyncio.wait_for(first, LONG)).resources == ("a", "b")


async def test_waiting_for_one_who_does_not_wait_is_no_deadlock(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    more = asyncio.create_task(pool.extend_async("1", ONE))
    other = asyncio.create_task(pool.extend_async("2", ONE))
    await until(lambda: pool.get_status_report().waiting == 2)

    with pytest.raises(DeadlockError):
        await pool.extend_async("3", ONE)

    pool.release_resources("3")
    await asyncio.wait_for(more, LONG)
    assert not other.done()
    pool.release_resources("1")
    assert len((await asyncio.wait_for(other, LONG)).resources) == 2


async def test_who_asks_for_more_is_sent_away_when_only_its_own_is_left(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    more = asyncio.create_task(pool.extend_async("1", ONE))
    await until(lambda: pool.get_status_report().waiting == 1)
    pool.quarantine_resource("b")
    assert not more.done()
    pool.quarantine_resource("c")

    with pytest.raises(ShortageError) as caught:
        await asyncio.wait_for(more, LONG)
    assert caught.value.tier is Tier.ERROR
    assert pool.get_allocation("1").allocated_resources == ("a",)  # type: ignore[union-attr]


async def test_who_comes_to_wait_for_ever_because_something_broke_is_told_so(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    first = asyncio.create_task(pool.extend_async("1", ONE))
    await until(lambda: pool.get_status_report().waiting == 1)
    second = asyncio.create_task(pool.extend_async("2", ONE))
    await until(lambda: pool.get_status_report().waiting == 2)
    pool.release_resources("3", "failed")

    with pytest.raises(DeadlockError, match="'2' would wait for ever: so do '1'") as caught:
        await asyncio.wait_for(second, LONG)
    assert set(caught.value.tasks) == {"1", "2"}
    assert not first.done()
    pool.release_resources("2")
    assert (await asyncio.wait_for(first, LONG)).resources == ("a", "b")


async def test_what_a_gang_needs_no_more_of_its_kind_goes_to_the_next() -> None:
    pool = ResourcePool(patience=0.0)
    pool.add_resource({"id": "able", "type": "t", "capabilities": {"x": 1}})
    pool.add_resource({"id": "plain", "type": "t"})
    pool.add_resource({"id": "other", "type": "o"})
    for name in ("plain", "other"):
        assert pool.allocate_resources(name, {"ids": [name]})
    gang = await waiting(pool, "gang", [ONE, {"type": "o"}])
    single = await waiting(pool, "single", {"type": "t", "capabilities": {"x": 1}})
    pool.release_resources("plain")
    assert (await asyncio.wait_for(single, LONG)).resources == ("able",)
    assert not gang.done()
    pool.release_resources("other")
    assert set((await asyncio.wait_for(gang, LONG)).resources) == {"plain", "other"}


async def test_what_was_kept_for_a_gang_that_leaves_goes_to_who_waits_for_it_by_name() -> None:
    pool = ResourcePool(patience=0.0)
    for name, kind in {"a": "t", "b": "t", "other": "o"}.items():
        pool.add_resource({"id": name, "type": kind})
    assert pool.allocate_resources("holder", {"type": "o"})
    gang = await waiting(pool, "gang", [{"type": "t", "count": 2}, {"type": "o"}])
    named = await waiting(pool, "named", {"ids": ["a"]})
    gang.cancel()
    assert (await asyncio.wait_for(named, LONG)).resources == ("a",)


async def test_who_is_released_while_it_asks_for_more_gets_nothing(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    more = asyncio.create_task(pool.extend_async("1", ONE))
    await until(lambda: pool.get_status_report().waiting == 1)

    pool.release_resources("1")

    with pytest.raises(ShortageError):
        await asyncio.wait_for(more, LONG)
    assert pool.get_status_report().available == 1


async def test_cancelling_the_wish_for_more_leaves_what_was_held(pool: ResourcePool) -> None:
    hold(pool, "1", "2", "3")
    more = asyncio.create_task(pool.extend_async("1", ONE))
    await until(lambda: pool.get_status_report().waiting == 1)
    pool.release_resources("2")
    more.cancel()
    await asyncio.wait([more])

    assert pool.get_allocation("1").allocated_resources == ("a",)  # type: ignore[union-attr]
    assert pool.get_status_report().available == 1


async def test_a_shared_entity_is_not_handed_to_who_has_it_already(pool: ResourcePool) -> None:
    """It wants another one; who waits behind it gets the room."""
    pool = ResourcePool()
    for name in "xy":
        pool.add_resource({"id": name, "type": "s", "capacity": 2})
    for task, names in {"first": "x", "second": "y", "third": "x", "fourth": "y"}.items():
        assert pool.allocate_resources(task, {"type": "s", "ids": [names]})
    more = asyncio.create_task(pool.extend_async("first", {"type": "s"}))
    await until(lambda: pool.get_status_report().waiting)
    next_one = await waiting(pool, "next", {"type": "s"})
    pool.release_resources("third")
    assert (await next_one).resources == ("x",)
    assert not more.done()
    pool.release_resources("fourth")
    assert (await more).resources == ("x", "y")


def test_a_lease_ends_when_its_time_is_over_and_not_when_it_was_renewed(pool: ResourcePool, clock: Clock) -> None:
    kept, lost = pool.acquire("kept", ONE, ttl=10), pool.acquire("lost", ONE, ttl=10)
    clock.now += 9
    assert pool.sweep() == 0
    assert kept.renew()
    assert pool.get_allocation("kept").expires_in == 10  # type: ignore[union-attr]
    clock.now += 2

    assert pool.sweep() == 1
    assert not lost.renew()
    assert not lost.release()
    assert (pool.get_status_report().deployed, pool.get_status_report().error) == (1, 1)
    assert kept.renew(1)
    clock.now += 2
    assert pool.sweep() == 1
    assert pool.get_allocation("kept") is None


def test_leases_end_by_themselves_and_who_waits_gets_what_they_held() -> None:
    pool = ResourcePool(error_after=["failed"])
    pool.add_resource({"id": "a", "type": "t"})
    assert pool.allocate_resources("gone", ONE, ttl=0.02)

    lease = pool.acquire("next", ONE, timeout=LONG)

    assert lease.resources == ("a",)
    assert not pool.release_resources("gone")
    pool.close()
    assert [one for one in threading.enumerate() if one.name == "pool-expiry"] == []


class Owners:
    """Notes who uses what, and whether two use the same."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.shared: list[tuple[str, str]] = []

    def use(self, lease: Lease) -> None:
        found = [(name, self.now.setdefault(name, lease.task_id)) for name in lease.resources]
        self.shared += [one for one in found if one[1] != lease.task_id]
        for name in lease.resources:
            self.now.pop(name, None)


def needs(number: int) -> Any:
    return [{"type": "t", "capabilities": {"x": 1 + number % 3}, "count": 1 + number % 2}]


def in_a_thread(pool: ResourcePool, owners: Owners, which: int) -> None:
    for number in range(100):
        with pool.acquire(f"thread-{which}-{number}", needs(number), timeout=LONG, priority=number % 3) as lease:
            owners.use(lease)


async def on_a_loop(pool: ResourcePool, owners: Owners, which: int) -> None:
    for number in range(20):
        with await pool.acquire_async(f"task-{which}-{number}", needs(number), timeout=LONG) as lease:
            owners.use(lease)
            await asyncio.sleep(0)


async def impatiently(pool: ResourcePool, which: int) -> None:
    for number in range(30):
        waiting = asyncio.create_task(pool.acquire_async(f"impatient-{which}-{number}", needs(which)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        if not waiting.cancelled():
            waiting.result().release()


def test_threads_and_coroutines_together_lose_nothing_and_share_nothing() -> None:
    pool, owners = ResourcePool(patience=0.01, error_after=[]), Owners()
    for number in range(6):
        pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": {"x": 1 + number % 3}})

    async def on_loops() -> None:
        jobs = [on_a_loop(pool, owners, which) for which in range(15)]
        await asyncio.gather(*jobs, *[impatiently(pool, which) for which in range(5)])

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(in_a_thread, pool, owners, which) for which in range(3)]
        running.append(threads.submit(asyncio.run, on_loops()))
        for one in running:
            one.result(2 * LONG)
    assert owners.shared == []
    report = pool.get_status_report()
    assert (report.available, report.waiting) == (6, 0)
