"""What thread and process executors have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from framework import Resource
from framework.errors import ResourceError
from plugin_executors.outcome import Dropped, outcome

P = ParamSpec("P")
T = TypeVar("T")


class Pool(Protocol):
    """A `concurrent.futures.Executor` that counts."""

    name: str
    workers: int

    @property
    def unfinished(self) -> int:
        """Tasks that were submitted and have not ended."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a call."""

    def map(
        self,
        function: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | Literal["auto"] = "auto",
    ) -> Iterator[T]:
        """Queue a call for each set of arguments."""


class PoolResource(Resource):
    """A pool of workers that run calls. `executor` is a real `concurrent.futures.Executor`."""

    def __init__(self, executor: Pool, grace: float) -> None:
        self.executor = executor
        self._grace = grace

    @property
    def workers(self) -> int:
        """Most tasks that run at once; workers are started when first needed."""
        return self.executor.workers

    @property
    def running(self) -> int:
        """Tasks that run now."""
        return min(self.executor.unfinished, self.workers)

    @property
    def pending(self) -> int:
        """Tasks that wait for a worker."""
        return max(0, self.executor.unfinished - self.workers)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call and return its future, as `concurrent.futures.Executor.submit` does.

        Raises:
            ResourceError: The executor was released.
        """
        return self.executor.submit(function, *args, **kwargs)

    def map(
        self,
        function: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | Literal["auto"] = "auto",
    ) -> Iterator[T]:
        """Queue a call for each set of arguments and return the results in order; `timeout` is in seconds.

        Arguments are taken only as far ahead as the workers need them, and small tasks travel in chunks whose size is
        learnt, or is `chunksize`.

        Raises:
            ResourceError: The executor was released.
        """
        return self.executor.map(function, *iterables, timeout=timeout, chunksize=chunksize)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a worker and return what it returns; what it raises is raised here.

        Cancelling the caller cancels a task that is queued; one that runs goes on, and its outcome is dropped.

        Raises:
            ResourceError: The executor was released before the task ended.
            WorkerDiedError: The task ended its worker process, each time that it was tried.
        """
        return await self._result(self.submit(function, *args, **kwargs), function)

    async def _result(self, future: Future[T], function: Callable[..., T]) -> T:
        waiting = outcome(future)
        del future  # a raised exception refers to this frame, and the future to the exception
        try:
            return await waiting
        except Dropped as error:
            raise dropped(self.kind, self.name, function) from error


def title(function: object) -> str:
    """Return what to call a function in a message."""
    return f"{getattr(function, '__qualname__', '') or repr(function)}()"


def dropped(kind: str, name: str, function: object) -> ResourceError:
    """Return the error for a task that was still queued when its executor was released."""
    return ResourceError(
        f"{kind} {name!r} was released before it came to {title(function)}.",
        "Release an executor after the last result.",
        resource=name,
    )


def foreign(kind: str, name: str) -> ResourceError:
    """Return the error for a task that a forked child gives to its parent's pool."""
    return ResourceError(
        f"{kind} {name!r} belongs to the process that made it, and this one was forked from that.",
        "Acquire an executor here, or fork before anything is acquired.",
        resource=name,
    )


def released(kind: str, name: str) -> ResourceError:
    """Return the error for a task that comes too late."""
    return ResourceError(
        f"{kind} {name!r} is released and takes no more tasks.", "Acquire an executor again.", resource=name
    )
