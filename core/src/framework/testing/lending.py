"""What several tests of providers do: use one, wait until nothing is held, count or break a resource's `_close`."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from framework.resources import Resource, ResourceProvider
from framework.testing import traces
from framework.testing.traces import Traces


async def used_once(provider: ResourceProvider, requests: dict[str, Any]) -> None:
    """Use a provider from its first moment to its last, so that what is made once for the process is there."""
    await provider.initialize()
    for kind, parameters in requests.items():
        async with await provider.create(kind, **parameters):
            pass
    await provider.cleanup()


async def each_kind(
    provider: ResourceProvider, requests: dict[str, Any]
) -> AsyncIterator[tuple[str, Callable[[], Coroutine[Any, Any, Any]]]]:
    """Yield each kind with what creates one of it; what the test does with that must leave nothing."""
    await used_once(provider, requests)
    await provider.initialize()
    for kind, parameters in requests.items():
        before = Traces.now()
        yield kind, functools.partial(provider.create, kind, **parameters)
        assert before.left() == {}, kind
    await provider.cleanup()


async def emptied(provider: ResourceProvider) -> bool:
    """Return whether the provider's ledger holds nothing any more; what is just being given back is waited for."""
    deadline = time.monotonic() + traces.PATIENCE_S
    while provider.ledger.records() and time.monotonic() < deadline:
        await asyncio.sleep(0.001)
        if provider.ledger.records():
            gc.collect()  # what went in a cycle goes only now
    return provider.ledger.records() == ()


class Closings:
    """Counts how often a resource's `_close` is called, and may raise in its place.

    Args:
        resource: Whose; from now on.
    """

    def __init__(self, resource: Resource) -> None:
        self.count = 0
        self.before: Callable[[], object] | None = None
        """What is called, and awaited if need be, in place of the next `_close`, which fails if this raises."""
        self.after: Callable[[], object] | None = None
        """What is called after the next `_close`, which fails if this raises."""
        self._close = resource._close
        resource._close = self._call  # type: ignore[method-assign]  # seen by this resource only

    def _call(self) -> Awaitable[None] | None:
        self.count += 1
        before, self.before, after, self.after = self.before, None, self.after, None
        result = before() if before is not None else self._close()
        if inspect.isawaitable(result):
            return _followed(result, after)
        if after is not None:
            after()
        return None


async def _followed(work: Awaitable[object], after: Callable[[], object] | None) -> None:
    await work
    if after is not None:
        after()


class InjectedError(Exception):
    """What the fault injectors of this suite raise."""


def fail() -> None:
    """Raise `InjectedError`."""
    raise InjectedError("injected by the test")
