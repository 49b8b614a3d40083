"""Thread executors: a pool of daemon threads, so that a task that never ends cannot keep the program from exiting.

The pool of `concurrent.futures` is joined at exit without a deadline, and offers no way out of that.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from framework.errors import ResourceError, ResourceLimitError
from plugin_executors.executor import PoolResource, released
from plugin_executors.outcome import ends_within

P = ParamSpec("P")
T = TypeVar("T")

Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ThreadPool(Executor):
    """Runs calls in up to `workers` daemon threads, each started when no other is free."""

    def __init__(self, name: str, workers: int) -> None:
        self.name = name
        self.workers = workers
        self.ended: Future[None] = Future()  # done when the last thread is about to end after shutdown
        self.unfinished = 0
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._working = 0
        self._closing = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call.

        Raises:
            ResourceError: The pool was shut down.
            ResourceLimitError: The system refuses even the first thread.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closing:
                raise released("executor.thread", self.name)
            if self.unfinished >= self._working < self.workers:
                self._grow()
            self.unfinished += 1
            self._tasks.put((future, function, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; let the threads end after the queued ones, or after the running ones."""
        with self._lock:
            self._closing = True
            queued = self._take_queued() if cancel_futures else []
            for _ in self._threads:
                self._tasks.put(None)
            if not self._threads and not self.ended.done():
                self.ended.set_result(None)
        for future in queued:  # outside the lock: a callback may come back to this pool
            future.cancel()
            future.set_running_or_notify_cancel()
        if wait:
            self.join()

    def join(self, timeout: float | None = None) -> None:
        """Wait for every thread, for each at most so many seconds."""
        for thread in self._threads:
            thread.join(timeout)

    def alive(self) -> list[threading.Thread]:
        """Return the threads that have not ended."""
        return [thread for thread in self._threads if thread.is_alive()]

    def _grow(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self.name}-{len(self._threads) + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if self._threads:
                return  # the others will get to the task
            raise ResourceLimitError(
                f"executor.thread {self.name!r} could not start its first thread: {error}.",
                "Raise the limit on processes and threads (ulimit -u, pids.max), or end some.",
                resource=self.name,
            ) from error
        self._threads.append(thread)
        self._working += 1

    def _take_queued(self) -> list[Future[Any]]:
        futures: list[Future[Any]] = []
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                self.unfinished -= len(futures)
                return futures
            if task is not None:
                futures.append(task[0])

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._perform(*task)
            del task  # an idle thread must not keep arguments and results alive
        with self._lock:
            self._working -= 1
            last = not self._working
        if last:
            self.ended.set_result(None)

    def _perform(
        self, future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not future.set_running_or_notify_cancel():
            self._finish()
            return
        try:
            result = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits for the future
            self._finish()
            future.set_exception(error)
            del future  # the traceback refers to this frame: without this there is a cycle
        else:
            self._finish()
            future.set_result(result)

    def _finish(self) -> None:
        # before the outcome is known: who acts on it at once must find this thread free
        with self._lock:
            self.unfinished -= 1


class ThreadExecutor(PoolResource):
    """A pool of threads; see `PoolResource`. `run` carries the caller's context variables along."""

    executor: ThreadPool

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread and return what it returns; what it raises is raised here.

        Cancelling the caller cancels a task that is queued; one that runs goes on, and its outcome is dropped.

        Raises:
            ResourceError: The executor was released before the task started.
        """
        call: Callable[..., T] = contextvars.copy_context().run
        return await self._result(self.executor.submit(call, function, *args, **kwargs), function)

    async def _close(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)
        if await ends_within(self.executor.ended, self._grace):
            self.executor.join(1)  # they have nothing left to do but to end
            return
        stuck = ", ".join(f"{thread.name} {_place(thread)}" for thread in self.executor.alive())
        raise ResourceError(
            f"executor.thread {self.name!r}: still running after {self._grace:g} s: {stuck}. Threads cannot be killed.",
            "Let the task end and call release() again; it will not keep the program from exiting.",
            resource=self.name,
        )


def _place(thread: threading.Thread) -> str:
    """Return which function a thread was given, as far as Python frames tell."""
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented for debugging
    while frame and frame.f_back and frame.f_back.f_code is not ThreadPool._perform.__code__:  # noqa: SLF001 - ours
        frame = frame.f_back
    return f"in {frame.f_code.co_name}() at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else "ending"
