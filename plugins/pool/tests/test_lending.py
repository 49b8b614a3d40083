"""Entities lent through a host: the ledger, the pool and the caller always agree."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from framework import Framework, ResourceStatus, Usage
from framework.errors import (
    InvalidRequestError,
    LeaseStateError,
    ResourceError,
    ResourceLimitError,
    ResourceUnavailableError,
)
from plugin_pool import ResourcePool, ShortageError, StatusReport, Tier
from plugin_pool.hosting.pooled import PooledEntities

KIND = "pool.entity"
ONE = {"type": "executor"}
RESOURCES = [{"id": "a", "type": "executor", "capabilities": {"web_search": 8}}, {"id": "b", "type": "executor"}]
LONG = 60.0
"""Seconds after which a test fails that waits for something."""


def host(resources: Any = RESOURCES, **more: Any) -> Framework:
    return Framework.from_config({"plugins": {"pool": {"resources": resources}}, **more})


@pytest.fixture
async def framework() -> AsyncIterator[Framework]:
    async with host() as framework:
        yield framework


@pytest.fixture
async def pool(framework: Framework) -> ResourcePool:
    found = await framework.service("pool")
    assert isinstance(found, ResourcePool)
    return found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0)


def row(framework: Framework) -> tuple[str, str, str]:
    (lease,) = framework.leases()
    return lease.kind, lease.name, lease.status.value


async def test_what_a_task_holds_is_in_the_ledger_until_the_block_is_left(
    framework: Framework, pool: ResourcePool
) -> None:
    needs = [{"type": "executor", "capabilities": {"web_search": 5}}, ONE]
    async with framework.acquire(KIND, task="research", requirements=needs, owner="team") as held:
        assert isinstance(held, PooledEntities)
        assert held.task == held.name == "research"
        assert sorted(held.resources) == ["a", "b"]
        assert {one.id: one.tasks for one in held.entities} == {"a": ("research",), "b": ("research",)}
        assert row(framework) == (KIND, "research", "deployed")
        assert framework.leases()[0].owner == "team"
        assert pool.get_status_report() == StatusReport(2, deployed=2)
    assert framework.leases() == ()
    assert pool.get_status_report() == StatusReport(2, available=2)


async def test_what_it_does_is_seen_on_both_sides(framework: Framework, pool: ResourcePool) -> None:
    async with framework.acquire(KIND, task="t", requirements=ONE) as held:
        for usage in (Usage.BUSY, Usage.BLOCKED, Usage.BUSY, Usage.DEPLOYED):
            held.mark(usage)
            assert pool.get_resource(held.resources[0]).status.value == usage.value
            assert held.status.value == usage.value

        pool.mark_executing("t")
        await until(lambda: held.status is ResourceStatus.BUSY)
        pool.mark_blocked("t")
        await until(lambda: row(framework)[2] == "blocked")

        held.mark(Usage.AVAILABLE)  # the pool has no such word for what is held
        assert pool.get_resource(held.resources[0]).status is ResourceStatus.DEPLOYED


async def test_each_change_is_told_once(framework: Framework, pool: ResourcePool) -> None:
    async with framework.acquire(KIND, task="t", requirements=ONE) as held:
        held.mark(Usage.BUSY)
        pool.mark_blocked("t")
        await until(lambda: held.status is ResourceStatus.BLOCKED)
        await asyncio.sleep(0)
    assert framework.ledger.events()["used", KIND] == 2


async def test_an_entity_marked_as_in_error_stays_with_its_task_and_then_awaits_a_person(
    framework: Framework, pool: ResourcePool
) -> None:
    async with framework.acquire(KIND, task="t", requirements=ONE) as held:
        held.mark(Usage.ERROR)
        assert row(framework)[2] == "error"
    assert pool.get_status_report() == StatusReport(2, available=1, error=1)


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "error"), (asyncio.CancelledError, "available"), (KeyboardInterrupt, "available")],
)
async def test_how_the_block_is_left_decides_what_becomes_of_the_entity(
    framework: Framework, pool: ResourcePool, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error):
        async with framework.acquire(KIND, task="t", requirements={"type": "executor", "ids": ["a"]}):
            raise error
    assert pool.get_resource("a").status.value == status
    assert framework.leases() == ()


async def test_the_pools_policy_decides_which_reasons_leave_an_error() -> None:
    async with Framework.from_config({"plugins": {"pool": {"resources": RESOURCES, "error_after": []}}}) as framework:
        with pytest.raises(ValueError, match="oh"):
            async with framework.acquire(KIND, requirements=ONE):
                raise ValueError("oh")
        pool: Any = await framework.service("pool")
        assert pool.get_status_report() == StatusReport(2, available=2)


async def test_a_release_may_say_why_and_whose_fault_it_was(framework: Framework, pool: ResourcePool) -> None:
    held = await framework.acquire(KIND, task="t", requirements={"type": "executor", "count": 2})
    with pytest.raises(InvalidRequestError, match="'tired'"):
        await held.release("tired")
    with pytest.raises(InvalidRequestError, match=r"'c' is not held by task 't'.*holds"):
        await held.release("failed", faulty=["c"])
    assert held.is_allocated()
    await held.release("failed", faulty=["a"])
    await held.release("failed", faulty=["b"])
    assert pool.get_resource("a").status is ResourceStatus.ERROR
    assert pool.get_resource("b").status is ResourceStatus.AVAILABLE


async def test_a_time_to_live_is_the_kernels_and_ends_as_expired(framework: Framework, pool: ResourcePool) -> None:
    held = await framework.acquire(KIND, task="t", requirements=ONE, ttl=60)
    found = pool.get_allocation("t")
    assert found is not None
    assert found.expires_in is None  # only one of the two keeps the time
    held.renew(0.01)
    await until(lambda: not held.is_allocated() and pool.get_allocation("t") is None)
    assert pool.get_resource(held.resources[0]).status is ResourceStatus.ERROR
    assert framework.statistics().expired == 1


async def test_who_is_cancelled_while_it_waits_holds_nothing(framework: Framework, pool: ResourcePool) -> None:
    async with framework.acquire(KIND, task="holder", requirements={"type": "executor", "count": 2}):
        task = asyncio.ensure_future(_acquired(framework, "late"))
        await until(lambda: pool.get_status_report().waiting)
        assert [(one.name, one.status.value) for one in framework.leases()][1:] == [("late", "blocked")]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.get_status_report().waiting == 0
        assert len(framework.leases()) == 1
    assert pool.get_status_report() == StatusReport(2, available=2)


async def test_it_is_served_in_turn_by_priority(framework: Framework, pool: ResourcePool) -> None:
    order: list[str] = []
    async with framework.acquire(KIND, requirements={"type": "executor", "count": 2}):
        tasks = []
        for name, priority in (("low", 0.0), ("high", 5.0)):
            tasks.append(asyncio.ensure_future(_acquired(framework, name, order, priority=priority)))
            await until(lambda: pool.get_status_report().waiting == len(tasks))
        pool.drain("b")
    await asyncio.wait_for(asyncio.gather(*tasks), LONG)
    assert order == ["high", "low"]


async def _acquired(framework: Framework, name: str, order: list[str] | None = None, **more: Any) -> None:
    async with framework.acquire(KIND, task=name, requirements=ONE, **more):
        if order is not None:
            order.append(name)


@pytest.mark.parametrize(
    ("needs", "tier", "said"),
    [
        ({"type": "executor", "count": 2}, Tier.BUSY, "missing 1 executor; it is in use"),
        ({"type": "reviewer"}, Tier.IMPOSSIBLE, "missing 1 reviewer; the pool does not have it"),
    ],
)
async def test_a_shortage_is_an_error_of_the_kernel_with_the_pools_sentence(
    framework: Framework, needs: Any, tier: Tier, said: str
) -> None:
    async with framework.acquire(KIND, requirements=ONE):
        with pytest.raises(ResourceUnavailableError, match=said) as caught:
            await framework.acquire(KIND, task="t", requirements=needs, timeout=0)
        assert isinstance(caught.value, ShortageError)
        assert (caught.value.tier, caught.value.resource) == (tier, "t")
        assert len(framework.leases()) == 1
    assert framework.statistics().failed == 1


async def test_quotas_of_the_kernel_apply() -> None:
    async with host(quotas={"kinds": {KIND: {"count": 1}}}) as framework:
        async with framework.acquire(KIND, requirements=ONE):
            with pytest.raises(ResourceLimitError, match=KIND):
                await framework.acquire(KIND, requirements=ONE)
        async with framework.acquire(KIND, requirements=ONE):
            pass


async def test_more_can_be_taken_and_goes_back_with_the_rest(framework: Framework, pool: ResourcePool) -> None:
    async with framework.acquire(KIND, task="t", requirements=ONE) as held:
        await held.extend(ONE)
        assert sorted(held.resources) == ["a", "b"]
    assert pool.get_status_report() == StatusReport(2, available=2)
    with pytest.raises(InvalidRequestError, match="holds nothing"):
        await held.extend(ONE)


async def test_what_is_taken_back_in_the_pool_is_released_in_the_ledger(
    framework: Framework, pool: ResourcePool
) -> None:
    held = await framework.acquire(KIND, task="t", requirements=ONE)
    assert pool.release_resources("t", "preempted")
    await until(lambda: not held.is_allocated())
    assert framework.leases() == ()
    async with framework.acquire(KIND, task="t", requirements=ONE) as again:
        await held.release()
        assert again.is_allocated()
        assert pool.get_allocation("t") is not None


async def _served_late(framework: Framework, pool: ResourcePool, then: Callable[[], object]) -> Any:
    """Lend what a task waited for, and do something in between being served and learning of it."""
    pool.allocate_resources("first", [ONE, ONE])
    waiting = asyncio.ensure_future(framework.acquire(KIND, task="late", requirements=ONE))
    await until(lambda: pool.get_status_report().waiting)
    pool.release_resources("first")
    assert then() is True
    return await asyncio.wait_for(waiting, LONG)


async def test_what_is_taken_back_before_it_is_lent_is_released_in_the_ledger_too(
    framework: Framework, pool: ResourcePool
) -> None:
    held = await _served_late(framework, pool, lambda: pool.release_resources("late"))
    await until(lambda: not held.is_allocated())
    assert framework.leases() == ()


async def test_what_is_marked_before_it_is_lent_is_marked_in_the_ledger_too(
    framework: Framework, pool: ResourcePool
) -> None:
    held = await _served_late(framework, pool, lambda: pool.mark_executing("late"))
    await until(lambda: held.status is ResourceStatus.BUSY)
    await held.release()


async def test_what_was_taken_back_cannot_be_put_into_error_under_the_next_task(
    framework: Framework, pool: ResourcePool
) -> None:
    held = await framework.acquire(KIND, task="t", requirements=[ONE, ONE])
    assert pool.release_resources("t")
    assert pool.allocate_resources("next", [ONE, ONE])
    held.mark(Usage.ERROR)  # the loop had no time yet to tell that it is gone
    assert pool.get_status_report() == StatusReport(2, deployed=2)
    pool.release_resources("next")
    assert pool.get_status_report() == StatusReport(2, available=2)


async def test_what_nobody_refers_to_is_given_back_as_cancelled(framework: Framework, pool: ResourcePool) -> None:
    held = await framework.acquire(KIND, task="t", requirements=ONE)
    assert held.is_allocated()
    del held
    gc.collect()
    await until(lambda: framework.leases() == ())
    assert pool.get_status_report() == StatusReport(2, available=2)


async def test_who_uses_only_the_pool_is_not_watched(framework: Framework, pool: ResourcePool) -> None:
    before = pool._stock.watchers
    async with framework.acquire(KIND, requirements=ONE), framework.acquire(KIND, requirements=ONE):
        assert len(pool._stock.watchers) == len(before) + 1
    assert pool._stock.watchers == before


async def test_closing_the_host_releases_and_sends_away_who_waits() -> None:
    async with host(RESOURCES[:1]) as framework:
        pool: Any = await framework.service("pool")
        pool.allocate_resources("outside", ONE)  # which no host can take back
        waiting = asyncio.ensure_future(_acquired(framework, "late"))
        await until(lambda: pool.get_status_report().waiting)
    with pytest.raises(ResourceError, match="'late' waited"):
        await asyncio.wait_for(waiting, LONG)
    assert pool.get_status_report().waiting == 0


async def test_what_a_closed_host_lent_cannot_be_marked() -> None:
    async with host() as framework:
        held = await framework.acquire(KIND, requirements=ONE)
    assert not held.is_allocated()
    with pytest.raises(LeaseStateError):
        held.mark(Usage.BUSY)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "needs requirements"),
        ({"requirements": []}, "no requirements"),
        ({"requirements": ONE, "until": "tomorrow"}, "'busy', 'error', 'impossible'"),
        ({"requirements": ONE, "priority": float("nan")}, "priority is nan"),
        ({"requirements": ONE, "timeout": -1}, "timeout is -1"),
        ({"requirements": ONE, "task": "a\tb"}, r"'a\\tb'"),
        ({"requirements": ONE, "ttl": 0}, "ttl 0"),
    ],
)
async def test_a_wrong_request_is_refused_and_leaves_nothing(
    framework: Framework, pool: ResourcePool, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await framework.acquire(KIND, **parameters)
    assert framework.leases() == ()
    assert pool.get_status_report() == StatusReport(2, available=2)


async def test_a_task_holds_once_and_may_be_called_what_no_lease_can(framework: Framework) -> None:
    async with framework.acquire(KIND, task="part/1", requirements=ONE) as held:
        assert held.task == "part/1"
        assert held.name.startswith(KIND)
        with pytest.raises(InvalidRequestError, match=r"'part/1' holds"):
            await framework.acquire(KIND, task="part/1", requirements=ONE)
