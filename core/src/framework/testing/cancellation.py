"""Cancels an operation at each of its steps, to see that it always leaves either its result or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

SINGLE_STEPS = 16
"""So many steps are tried one by one; after that each try goes twice as far."""
MOST_STEPS = 1 << 14


def _depths() -> Iterator[int]:
    yield from range(SINGLE_STEPS)
    steps = SINGLE_STEPS
    while steps <= MOST_STEPS:
        yield steps
        steps *= 2


async def at_each_step(operation: Callable[[], Coroutine[Any, Any, T]]) -> AsyncIterator[tuple[int, list[T]]]:
    """Run an operation again and again, each time cancelled later, until it ends before it is cancelled.

    Yields:
        The number of turns that the event loop made before the cancellation, and the result if there was one.
    """
    for steps in _depths():
        task = asyncio.ensure_future(operation())
        for _ in range(steps):
            if task.done():
                break
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, BaseException):
            if not isinstance(outcome, asyncio.CancelledError):
                raise outcome
            yield steps, []
        else:
            yield steps, [outcome]
        if ended:
            return
