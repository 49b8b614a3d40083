"""`finish`: awaits something to its end, whoever cancels the caller meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; a cancellation of the caller is raised only after it has ended.

    A shielded scope of anyio holds back the cancellations of anyio's own scopes, but not those of asyncio:
    `Task.cancel`, `asyncio.timeout`, and the Ctrl-C that `asyncio.run` turns into one. A task of its own does.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain; the ledger has kept it
        raise cancelled
    return task.result()
