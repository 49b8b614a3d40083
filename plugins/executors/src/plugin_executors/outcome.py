"""Waiting in asyncio for what happens in threads and processes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Dropped(Exception):  # noqa: N818 - an event between two modules, which no user sees
    """A task was cancelled before it started, by its executor and not by whoever waits for it."""


async def outcome(future: Future[T]) -> T:
    """Wait for a task and return what it returned, or raise what it raised.

    Unlike with `asyncio.wrap_future`, a task that its executor cancelled raises `Dropped`, not the CancelledError that
    would end a waiter nobody cancelled; and a task that raises `StopIteration` raises RuntimeError here, where asyncio
    on Python 3.11 would wait for ever. Cancelling the waiter cancels a queued task; one that runs goes on.
    """
    try:
        await _done(future)
    except asyncio.CancelledError:
        future.cancel()
        raise
    if future.cancelled():
        raise Dropped
    try:
        return future.result()
    finally:
        del future  # a raised exception refers to this frame, and the future to the exception


async def ends_within(future: Future[None], seconds: float | None) -> bool:
    """Return whether something ends in time; waiting does not disturb it."""
    await asyncio.wait({_done(future)}, timeout=seconds)
    return future.done()


def in_daemon_thread(function: Callable[[], object], name: str) -> tuple[Future[None], threading.Thread]:
    """Call a function in a thread that cannot keep the interpreter from exiting."""
    future: Future[None] = Future()

    def call() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)
        else:
            future.set_result(None)

    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    return future, thread


def _done(future: Future[Any]) -> asyncio.Future[None]:
    """Return what is settled in this loop when a future is, however that ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake(_finished: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, done)

    future.add_done_callback(wake)
    return done


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
