"""Thread executors: a pool of daemon threads, so that a task that never ends cannot keep the program from exiting.

The pool of `concurrent.futures` is joined at exit without a deadline, and offers no way out of that.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from framework.errors import ResourceError
from plugin_executors.bounds import resident
from plugin_executors.chunks import Chunk, Item, run_chunk
from plugin_executors.executor import PoolResource
from plugin_executors.outcome import ends_within
from plugin_executors.worker_pool import WorkerPool

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool(WorkerPool):
    """Runs calls in threads of this process; see `WorkerPool`."""

    kind = "executor.thread"

    def __init__(self, name: str, workers: int, idle_s: float | None = None) -> None:
        super().__init__(name, workers, idle_s)
        self._resident = resident(os.getpid())

    def memory_each(self) -> int:
        """Return by how many bytes this process grew for each running task; 0 where that is not known."""
        return max(0, resident(os.getpid()) - self._resident) // max(1, min(self.unfinished, self.workers))

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call.

        Raises:
            ResourceError: The pool was shut down.
            ResourceLimitError: The system refuses even the first thread.
        """
        future: Future[T] = Future()
        self._enqueue((future, function, args, kwargs))
        return future

    def submit_chunk(self, function: Callable[..., Any], items: list[Item], context: Context | None) -> Future[Chunk]:
        """Queue calls as one task, each with context variables of its own."""
        if context is None:
            return self.submit(run_chunk, function, items, _itself)

        def alone(*args: Any) -> Any:  # what one task sets, the next must not see
            return context.copy().run(function, *args)

        return self.submit(run_chunk, alone, items, _itself)

    def failure(self, entry: Any, function: Callable[..., Any]) -> BaseException:
        """Return the exception that stands in a chunk's `errors`."""
        error: BaseException = entry
        return error

    def _call(self, seat: Any, *call: Any) -> Any:
        function, args, kwargs = call
        return function(*args, **kwargs)


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
        raise still_running(self.executor, self._grace)


def still_running(pool: WorkerPool, seconds: float) -> ResourceError:
    """Return the error that says where the threads are that do not end."""
    stuck = ", ".join(f"{thread.name} {_place(thread)}" for thread in pool.alive())
    return ResourceError(
        f"{pool.kind} {pool.name!r}: still running after {seconds:g} s: {stuck}. Threads cannot be killed.",
        "Let the task end and call release() again; it will not keep the program from exiting.",
        resource=pool.name,
    )


def _itself(error: BaseException) -> BaseException:
    return error


def _place(thread: threading.Thread) -> str:
    """Return which function a thread was given, as far as Python frames tell."""
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented for debugging
    while frame and frame.f_back and frame.f_back.f_code is not ThreadPool._call.__code__:  # noqa: SLF001 - ours
        frame = frame.f_back
    return f"in {frame.f_code.co_name}() at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else "ending"
