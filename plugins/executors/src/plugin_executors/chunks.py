"""Several small tasks as one. A worker process imports this module, so it imports little."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

Item = tuple[Any, ...]
"""The arguments of one task."""


class Chunk:
    """What came of several tasks: a value for each, None in the place of one that failed, and the failures by place."""

    __slots__ = ("errors", "seconds", "values")

    def __init__(self, seconds: float, values: list[Any], errors: dict[int, Any]) -> None:
        self.seconds = seconds
        self.values = values
        self.errors = errors

    def __reduce__(self) -> tuple[object, ...]:
        return Chunk, (self.seconds, self.values, self.errors)


def run_chunk(function: Callable[..., Any], items: list[Item], failed: Callable[[BaseException], Any]) -> Chunk:
    """Call a function with the arguments of each item.

    Args:
        function: What to call.
        items: The arguments of each call.
        failed: Makes of an exception what stands for it in `errors`.
    """
    values: list[Any] = []
    errors: dict[int, Any] = {}
    started = time.perf_counter()
    rest = iter(items)
    while len(values) < len(items):
        error: BaseException = RuntimeError("the task raised StopIteration")  # which ends the loop as if it were over
        try:
            values.extend(itertools.starmap(function, rest))
        except BaseException as raised:  # noqa: BLE001 - it belongs to whoever waits for the task
            error = raised
        if len(values) < len(items):
            errors[len(values)] = failed(error)
            values.append(None)
    return Chunk(time.perf_counter() - started, values, errors)


class ChunkSize:
    """Learns how many tasks to take at once, from how long they take.

    Handing a chunk to a worker and taking its results costs about 0.1 ms, so a chunk is made to last twenty times that;
    less would be wasted, and more would keep the last worker busy while the others have nothing left.

    Args:
        fixed: A number that is kept, or None to learn.
        most: The largest size.
    """

    _AIM_S = 2e-3
    _TRANSPORT_S = 1e-6
    """What pickling one argument and one result costs at least."""
    _GROWTH = 8

    def __init__(self, fixed: int | None, most: int | None) -> None:
        self._fixed = fixed is not None
        self._most = most
        self.size = fixed or 1

    def learn(self, seconds: float, count: int) -> None:
        """Take note of how long a chunk of so many tasks took."""
        if self._fixed:
            return
        wanted = int(self._AIM_S / (seconds / count + self._TRANSPORT_S))
        self.size = max(1, min(wanted, self.size * self._GROWTH, self._most or wanted))
