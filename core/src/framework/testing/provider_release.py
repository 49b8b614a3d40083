"""`Release`: what must hold however something is given back, and whoever is cancelled; part of `ProviderContract`."""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any

import pytest

from framework.records import ResourceStatus
from framework.resources import Resource, ResourceProvider
from framework.testing.cancellation import at_each_step
from framework.testing.forks import in_thread
from framework.testing.lending import Closings, InjectedError, each_kind, emptied, fail, used_once
from framework.testing.traces import Traces

MANY = 16
"""So many tasks, and so many threads, give the same thing back at once."""


@pytest.mark.anyio
class Release:
    """Each test lends every kind, and sees that nothing of it stays."""

    async def test_of_many_that_release_it_one_does(self, provider: ResourceProvider, requests: dict[str, Any]) -> None:
        """Sixteen tasks and sixteen threads at once close it once; if that fails, all who wait see the same error."""
        async for kind, create in each_kind(provider, requests):
            resource = await create()
            closings = Closings(resource)
            await _fail_for_all(resource, closings)
            await asyncio.gather(*_releases(resource))
            assert (closings.count, resource.status) == (2, ResourceStatus.RELEASED), kind
            assert provider.ledger.records() == (), kind
            del resource, closings

    async def test_cancelling_at_each_step_leaves_nothing(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """Whenever the caller is cancelled, it has the resource, or nothing is held and nothing is left."""
        async for kind, create in each_kind(provider, requests):
            async for steps, resources in at_each_step(create):
                for one in resources:
                    await one.release()
                assert provider.ledger.records() == (), (kind, steps)

    async def test_what_was_not_delivered_is_given_back(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """A creation that goes on after its caller was cancelled, or comes too late for its limit, leaves nothing."""
        async for kind, create in each_kind(provider, requests):
            async for steps, resources in at_each_step(functools.partial(_shielded, create)):
                for one in resources:
                    await one.release()
                resources.clear()
                assert await emptied(provider), (kind, steps)
            await _in_time(provider, create)

    async def test_cancelling_a_release_gives_it_back(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """At whichever step the caller of `release` is cancelled, it is given back, and once."""
        async for kind, create in each_kind(provider, requests):
            held = [await create()]
            closings = Closings(held[0])
            async for steps, _ in at_each_step(functools.partial(_release, held)):
                assert steps == 0 or not held[0].is_allocated(), (kind, steps)
                await held[0].release()
                assert (closings.count, provider.ledger.records()) == (1, ()), (kind, steps)
                held[0] = await create()
                closings = Closings(held[0])
            await held.pop().release()
            del closings

    async def test_a_release_that_fails_can_be_tried_again(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """It stays visible, as quarantined; the others are given back by `cleanup`; the second try succeeds."""
        await used_once(provider, requests)
        before = Traces.now()
        for kind in requests:
            await provider.initialize()
            held = {one: await provider.create(one, **parameters) for one, parameters in requests.items()}
            broken = held.pop(kind)
            Closings(broken).before = fail
            with pytest.raises(ExceptionGroup) as caught:
                await provider.cleanup()
            assert caught.group_contains(InjectedError), kind
            assert [one for one, other in held.items() if other.is_allocated()] == [], kind
            visible = [(one.name, one.status) for one in provider.ledger.records()]
            assert visible == [(broken.name, ResourceStatus.ERROR)], kind
            await broken.release()
            assert (broken.status, provider.ledger.records()) == (ResourceStatus.RELEASED, ()), kind
            del held, broken, caught
        assert before.left() == {}

    async def test_closing_what_has_vanished_is_harmless(
        self, provider: ResourceProvider, requests: dict[str, Any]
    ) -> None:
        """After a `_close` that did its work and failed all the same, the second one finds nothing to do.

        What the first gave back, as the number of a descriptor, may be another's by then.
        """
        async for kind, create in each_kind(provider, requests):
            resource = await create()
            Closings(resource).after = fail
            with pytest.raises(InjectedError):
                await resource.release()
            others = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
            await resource.release()
            assert [one for one in others if not _is_null(one)] == [], kind
            for one in others:
                os.close(one)
            assert provider.ledger.records() == (), kind
            del resource


def _releases(resource: Resource) -> list[Any]:
    loop = asyncio.get_running_loop()

    def elsewhere() -> None:
        asyncio.run_coroutine_threadsafe(resource.release(), loop).result()

    return [*(resource.release() for _ in range(MANY)), *(in_thread(elsewhere) for _ in range(MANY))]


async def _fail_for_all(resource: Resource, closings: Closings) -> None:
    """Let a release fail only once all wait for it; all must see that one error."""
    begun = asyncio.Event()

    async def fail_later() -> None:
        await begun.wait()
        fail()

    closings.before = fail_later
    tasks = [asyncio.ensure_future(resource.release()) for _ in range(MANY)]
    await asyncio.sleep(0)
    begun.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in errors] == [InjectedError] * MANY
    assert closings.count == 1
    assert resource.status is ResourceStatus.ERROR


async def _release(held: list[Resource]) -> None:
    await held[0].release()


async def _shielded(create: Any) -> Any:
    return await asyncio.shield(asyncio.ensure_future(create()))


async def _in_time(provider: ResourceProvider, create: Any) -> None:
    """Give a creation twice as long each time, until it is fast enough."""
    seconds = 1e-6
    while True:
        try:
            resource = await asyncio.wait_for(create(), seconds)
        except TimeoutError:
            assert await emptied(provider), f"within {seconds} s"
            seconds *= 2
        else:
            await resource.release()
            return


def _is_null(descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(os.devnull))
    except OSError:
        return False
