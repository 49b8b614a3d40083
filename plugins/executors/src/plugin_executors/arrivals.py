"""The chunks of a map that have come back. Futures refer to this and not to the map, so that a map can be dropped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from plugin_executors.chunks import Chunk, Item

Progress = Callable[[int, "int | None"], object]
"""Called with how many tasks have ended and how many there are, None where the input does not say."""


@dataclass(eq=False, slots=True)
class Part:
    """A chunk on its way: the place of its first task in the input, and the arguments of each."""

    first: int
    items: list[Item]
    future: Future[Chunk]


class Arrivals:
    """Takes note of chunks in the order in which they come back, and tells how many tasks have ended.

    Args:
        kept: Whether chunks are kept for `take`.
        count: Told of tasks that were completed beside the first of a chunk.
        progress: Called whenever tasks have ended, never from two threads at once.
        total: How many tasks there are; None where that is not known.
    """

    def __init__(
        self, count: Callable[[int], None], progress: Progress | None, total: int | None, *, kept: bool
    ) -> None:
        self._kept = kept
        self._count = count
        self._progress = progress
        self._total = total
        self._lock = threading.RLock()  # the collector may drop the map, which cancels its chunks, at any allocation
        self._telling = threading.RLock()  # whoever is told may do something that ends a task at once
        self._parts: deque[Part] = deque()
        self._signal: Future[None] | None = None
        self._ended = 0

    def follow(self, part: Part) -> None:
        """Take note of a chunk when it comes back, perhaps at once."""
        part.future.add_done_callback(lambda _: self._arrived(part))

    def take(self) -> Part | Future[None]:
        """Return a chunk that has come back, or what is done as soon as there is one."""
        with self._lock:
            if self._parts:
                return self._parts.popleft()
            if self._signal is None:  # whoever else waits must not be forgotten
                self._signal = Future()
            return self._signal

    def _arrived(self, part: Part) -> None:
        tasks = _ended(part)
        with self._lock:
            signal, self._signal = self._signal, None
            if self._kept:
                self._parts.append(part)
        if tasks > 1:
            self._count(tasks - 1)
        if signal is not None:
            signal.set_result(None)
        if tasks and self._progress is not None:
            with self._telling:
                self._ended += tasks
                self._progress(self._ended, self._total)


def _ended(part: Part) -> int:
    """Return how many tasks ended: none where a chunk failed as a whole, as each is then tried alone."""
    if part.future.cancelled():
        return 0
    return len(part.items) if len(part.items) == 1 or part.future.exception() is None else 0
