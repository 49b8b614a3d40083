"""Work in threads: `in_thread` for one function, `TimedCalls` for functions of others, which may take too long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Self, TypeVar

T = TypeVar("T")

_Task = tuple[Callable[[], Any], Future[Any]]

FAILURES = (Exception, SystemExit, asyncio.CancelledError)
"""What a function of others may raise without meaning this program: all but Ctrl-C, which is about who waits."""


async def in_thread(work: Callable[[], T], name: str = "framework-work") -> T:
    """Return what a function returns that runs in a thread of its own, which ends with it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


class TimedCalls:
    """Calls functions in a daemon thread, one after another, each for at most so many seconds.

    Nothing can stop a function that runs in a thread; one that takes too long goes on there by itself, and its subject
    is not called again before it ends. The thread is started for the first call and ends with `close`.

    Args:
        name: What its threads are called.
        overdue: Subjects whose call goes on, with the monotonic time it began: one mapping for all who share subjects.
    """

    def __init__(self, name: str, overdue: dict[str, float]) -> None:
        self._name = name
        self._overdue = overdue
        self._tasks: SimpleQueue[_Task | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the thread end."""
        if self._tasks is not None:
            self._tasks.put(None)
            self._tasks = None

    def call(self, subject: str, function: Callable[[], T], seconds: float) -> T:
        """Return what a function returns.

        Raises:
            TimeoutError: It takes too long, or its last call does.
            BaseException: Whatever the function raises.
        """
        begun = self._overdue.get(subject)
        if begun is not None:
            raise TimeoutError(f"still busy with a call of {time.monotonic() - begun:.0f} s ago")
        if self._tasks is None:
            self._tasks = _start(self._name)  # may be refused, and then the subject is not busy
        future: Future[T] = Future()
        self._overdue[subject] = time.monotonic()
        future.add_done_callback(lambda _: self._overdue.pop(subject, None))
        self._tasks.put((function, future))
        try:
            return future.result(min(seconds, threading.TIMEOUT_MAX))
        except TimeoutError:
            if future.done():  # its own TimeoutError
                raise
            self.close()
            raise TimeoutError(f"took longer than {seconds:g} s, and was left behind") from None
        finally:
            del future  # a raised exception refers to this frame, and the future to the exception


def _start(name: str) -> SimpleQueue[_Task | None]:
    tasks: SimpleQueue[_Task | None] = SimpleQueue()
    threading.Thread(target=_serve, args=(tasks,), name=name, daemon=True).start()
    return tasks


def _serve(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        function, future = task
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)
        else:
            future.set_result(result)
        del task, function, future
