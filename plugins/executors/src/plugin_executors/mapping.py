"""`TaskMap`: one call for each set of arguments, lazily, through a pool.

Arguments are taken from the input only a few chunks ahead of the results that were asked for, so the input may be
endless. Small tasks travel in chunks whose size is learnt.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextvars import Context
from dataclasses import dataclass
from itertools import chain, islice
from operator import length_hint
from typing import Any, ClassVar, Generic, Literal, Protocol, TypedDict, TypeVar, cast

from framework.errors import FrameworkError, InvalidRequestError
from plugin_executors.arrivals import Arrivals, Part, Progress
from plugin_executors.chunks import Chunk, ChunkSize, Item
from plugin_executors.executor import released
from plugin_executors.outcome import ends_within

T = TypeVar("T")

_CHUNKS_PER_WORKER = 2
"""One that runs and one that waits behind it, so that no worker waits for whoever takes the results."""


class MapOptions(TypedDict, total=False):
    """What a map can be told; see `TaskMap`."""

    ordered: bool
    timeout: float | None
    chunksize: int | Literal["auto"]
    buffersize: int | None
    outcomes: bool
    progress: Progress | None


class MapPool(Protocol):
    """What a `TaskMap` needs of a pool."""

    kind: ClassVar[str]
    name: str
    workers: int

    def submit_chunk(self, function: Callable[..., Any], items: list[Item], context: Context | None) -> Future[Chunk]:
        """Queue calls as one task, which is not repeated when it ends its worker unless it is only one call."""

    def failure(self, entry: Any, function: Callable[..., Any]) -> BaseException:
        """Return the exception that stands in a chunk's `errors`."""

    def count(self, tasks: int) -> None:
        """Add to the tasks that were completed."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one task of a map."""

    index: int
    """Its place in the input, from 0."""
    value: T | None
    """What it returned; None if it failed."""
    error: BaseException | None
    """What it raised, or what happened to it; None if it returned."""

    def result(self) -> T:
        """Return what it returned, or raise its error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


class _Failed:
    """Stands among the values where a task failed."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class TaskMap(Generic[T]):
    """An iterator of results. A task that fails raises where its result would be; the next step goes on behind it.

    Closing it, or dropping it, cancels what is queued; what runs goes on, and its outcome is dropped.

    Args:
        pool: Runs the tasks.
        function: What to call.
        iterables: The arguments, as for `map`.
        ordered: Whether results come in the order of the input, or as they arrive.
        timeout: Seconds from now on in which each result must be there.
        chunksize: How many calls a worker is given at once; "auto" learns it, aiming at 2 ms of work.
        buffersize: Most arguments that are taken ahead of the results; two chunks for each worker when left out.
        outcomes: Whether an `Outcome` is returned for each task, instead of its value or its exception.
        progress: Called, in some thread, whenever tasks have ended; never from two threads at once.
        context: What context variables the tasks see, in a pool of threads.

    Raises:
        InvalidRequestError: `chunksize` or `buffersize` is not a number of at least 1.
    """

    def __init__(
        self,
        pool: MapPool,
        function: Callable[..., T],
        iterables: Iterable[Iterable[Any]],
        *,
        ordered: bool = True,
        timeout: float | None = None,
        chunksize: int | Literal["auto"] = "auto",
        buffersize: int | None = None,
        outcomes: bool = False,
        progress: Progress | None = None,
        context: Context | None = None,
    ) -> None:
        self._parts: deque[Part] = deque()
        self._closed = False
        fixed = None if chunksize == "auto" else _at_least_one(pool, "chunksize", chunksize, "'auto' or ")
        most = None if buffersize is None else _at_least_one(pool, "buffersize", buffersize, "None or ")
        self._pool = pool
        self._function = function
        iterables = list(iterables)
        self._input = zip(*iterables, strict=False)
        self._taken = 0
        self._ordered = ordered
        self._until = None if timeout is None else time.monotonic() + timeout
        share = None if most is None else max(1, most // (_CHUNKS_PER_WORKER * pool.workers))
        self._size = ChunkSize(fixed if fixed is None or most is None else min(fixed, most), share)
        self._buffer = most
        self._outcomes = outcomes
        self._arrivals = Arrivals(pool.count, progress, _length(iterables), kept=not ordered)
        self._context = context
        self._current: Iterator[Any] = iter(())
        self._failures = False  # whether there are some in it
        self._input_error: Exception | None = None
        self._exhausted = False
        self._refill()

    def __iter__(self) -> Iterator[T]:
        # faster than a method for each of many small results, and unlike a generator not over when one of them raises
        return chain.from_iterable(self._runs())

    def _runs(self) -> Iterator[Iterator[Any]]:
        while self._is_there():
            yield map(self._value, self._current) if self._failures else self._current

    def __next__(self) -> T:
        while self._is_there():
            for value in self._current:
                return self._value(value)
        raise StopIteration

    def __enter__(self) -> TaskMap[T]:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def close(self) -> None:
        """Cancel what is queued, and have no more results."""
        self._closed = True
        parts, self._parts = self._parts, deque()
        for part in parts:
            part.future.cancel()
        self._current = iter(())

    def _is_there(self) -> bool:
        """Wait until there are results to be had; return whether there are."""
        while not length_hint(self._current):
            try:
                due = self._step()
            except StopIteration:
                return False
            if due is not None:
                self._wait(due)
        return True

    def _value(self, value: Any) -> T:
        if type(value) is _Failed:
            raise value.error
        return cast("T", value)

    def _step(self) -> Future[Any] | None:
        """Go on to the next chunk that has arrived; return what to wait for where none has.

        Raises:
            StopIteration: There is no more.
            Exception: The input raised it.
        """
        self._refill()
        if not self._parts:
            error, self._input_error = self._input_error, None
            self._closed = True
            raise StopIteration if error is None else error
        if self._ordered:
            if not self._parts[0].future.done():
                return self._parts[0].future
            part = self._parts.popleft()
        else:
            found = self._arrivals.take()
            if isinstance(found, Future):
                return found
            part = found
            self._parts.remove(part)
        self._harvest(part)
        self._refill()  # before the results are taken, so that workers do not wait for that
        return None

    def _harvest(self, part: Part) -> None:
        if part.future.cancelled():
            self.close()
            raise released(self._pool.kind, self._pool.name)
        error = part.future.exception()
        if error is not None:
            self._failed(part, error)
            return
        chunk = part.future.result()
        self._size.learn(chunk.seconds, len(part.items))
        values, self._failures = chunk.values, bool(chunk.errors)
        for place, entry in chunk.errors.items():
            values[place] = _Failed(self._pool.failure(entry, self._function))
        self._current = iter(self._shown(part.first, values))

    def _failed(self, part: Part, error: BaseException) -> None:
        """Have every task of a chunk tried alone, where one of them spoiled it for all."""
        if len(part.items) == 1:
            self._failures = True
            self._current = iter(self._shown(part.first, [_Failed(error)]))
            return
        alone = [self._submit(part.first + place, [item]) for place, item in enumerate(part.items)]
        self._parts.extendleft(reversed(alone))

    def _shown(self, first: int, values: list[Any]) -> list[Any]:
        if not self._outcomes:
            return values
        return [
            Outcome(index, None, value.error) if type(value) is _Failed else Outcome(index, value, None)
            for index, value in enumerate(values, first)
        ]

    def _refill(self) -> None:
        while not self._closed and not self._exhausted and len(self._parts) < _CHUNKS_PER_WORKER * self._pool.workers:
            room = self._size.size if self._buffer is None else min(self._size.size, self._buffer - self._ahead())
            if room < 1:
                return
            taken: list[Item] = []
            try:
                taken.extend(islice(self._input, room))
            except Exception as error:  # noqa: BLE001 - raised when all results before it were taken
                self._input_error = error
            self._exhausted = len(taken) < room
            if taken:
                self._parts.append(self._submit(self._taken, taken))
                self._taken += len(taken)

    def _ahead(self) -> int:
        """Return how many items were taken whose results were not."""
        return length_hint(self._current) + sum(len(part.items) for part in self._parts)

    def _submit(self, first: int, items: list[Item]) -> Part:
        try:
            future = self._pool.submit_chunk(self._function, items, self._context)
        except InvalidRequestError as error:  # something cannot be pickled
            future = Future()
            future.set_exception(error)
        except FrameworkError:
            self.close()
            raise
        part = Part(first, items, future)
        self._arrivals.follow(part)
        return part

    def _wait(self, due: Future[Any]) -> None:
        left = self._left()
        try:
            due.exception(left)
        except CancelledError:
            pass
        except TimeoutError:
            raise self._late() from None

    def _left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def _late(self) -> TimeoutError:
        self.close()
        return TimeoutError("a result was not there in time; what was queued is cancelled")


class AsyncTaskMap(AsyncIterator[T]):
    """The same from asyncio: `async for` waits without blocking the loop."""

    def __init__(self, tasks: TaskMap[T]) -> None:
        self._tasks = tasks

    async def __anext__(self) -> T:
        tasks = self._tasks
        while True:
            for value in tasks._current:  # noqa: SLF001 - the other half of this module
                return tasks._value(value)  # noqa: SLF001 - as above
            try:
                due = tasks._step()  # noqa: SLF001 - as above
            except StopIteration:
                raise StopAsyncIteration from None
            if due is not None and not await ends_within(due, tasks._left()):  # noqa: SLF001 - as above
                raise tasks._late()  # noqa: SLF001 - as above

    async def __aenter__(self) -> AsyncTaskMap[T]:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what is queued, and have no more results."""
        self._tasks.close()


def _at_least_one(pool: MapPool, what: str, found: object, other: str) -> int:
    if type(found) is not int or found < 1:
        raise InvalidRequestError(
            f"{pool.kind} {pool.name!r} got {what}={found!r}; allowed are {other}numbers from 1.",
            "Leave it out to have it chosen.",
            resource=pool.name,
        )
    return found


def _length(iterables: list[Any]) -> int | None:
    with contextlib.suppress(TypeError):
        return min(map(len, iterables), default=0)
    return None
