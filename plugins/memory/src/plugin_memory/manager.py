"""`MemoryManager`: the service that chooses how many items a batch has, from what batches were measured to take."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from framework import limits
from framework.errors import InvalidRequestError, ResourceLimitError
from plugin_memory.batch import Batch, BatchSize
from plugin_memory.learning import SHARE, Workload, fitting
from plugin_memory.usage import Gauge

T = TypeVar("T")
R = TypeVar("R")

LEVELS = ("normal", "warning", "aggressive", "critical")
"""Of pressure, least first."""


class Request(NamedTuple):
    """What a size is chosen within, and for which sort of work."""

    base: int
    least: int
    most: int | None
    budget: int | None
    name: str


class MemoryManager:
    """Chooses sizes of batches so that they fit into memory. Thread-safe; works with and without a host.

    What an item takes is learnt from batches that were measured, by `batches`, `map_batches` or `measured`, under the
    name of the sort of work.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader = limits.Reader()
        self._workloads: dict[str, Workload] = {}
        self._chosen: dict[str, BatchSize] = {}
        self._last: BatchSize | None = None

    @property
    def reason(self) -> str:
        """Why the last size was chosen; nothing before the first one."""
        return self._last.reason if self._last else ""

    def explain(self, name: str = "") -> BatchSize | None:
        """Return the last size that was chosen for a sort of work, and why; None before the first one."""
        return self._chosen.get(name)

    def optimize_batch_size(
        self,
        base_batch_size: int,
        min_batch_size: int,
        max_batch_size: int | None = None,
        *,
        budget: int | None = None,
        name: str = "",
    ) -> int:
        """Return how many items the next batch should have; `explain` says why.

        That is the largest number that fits into half of the memory that is free, as far as is known what an item
        takes, and the base before anything was measured.

        Args:
            base_batch_size: Items of a batch where memory does not matter.
            min_batch_size: The least, whatever is free.
            max_batch_size: The most, where memory allows; the base when None.
            budget: The most bytes that a batch may take, by what was measured; half of what is free when None.
            name: The sort of work.

        Raises:
            InvalidRequestError: A number is no whole number above 0, or they are out of order.
            ResourceLimitError: Not even the least fits into the budget.
        """
        return self._choose(_checked(base_batch_size, min_batch_size, max_batch_size, budget, name)).size

    def batches(
        self,
        items: Iterable[T],
        base_batch_size: int,
        min_batch_size: int = 1,
        max_batch_size: int | None = None,
        *,
        budget: int | None = None,
        name: str = "",
    ) -> Iterator[Batch[T]]:
        """Yield lists of items, each as long as fits; what each takes is measured until the next one is asked for.

            for batch in memory.batches(rows, base_batch_size=64, max_batch_size=10_000):
                with batch:  # in halves again, should it run out of memory
                    store(batch)

        Items are taken when their batch begins. Arguments and errors are those of `optimize_batch_size`, besides:

        Raises:
            MemoryError: The work on the least batch ran out of memory, or the items themselves did.
        """
        request = _checked(base_batch_size, min_batch_size, max_batch_size, budget, name)
        if not isinstance(items, Iterable):
            raise InvalidRequestError(
                f"batches got items {items!r:.60}, a {type(items).__name__}; expected an iterable."
            )
        return self._batches(items, request)

    def map_batches(
        self,
        function: Callable[[list[T]], R],
        items: Iterable[T],
        base_batch_size: int,
        min_batch_size: int = 1,
        max_batch_size: int | None = None,
        *,
        budget: int | None = None,
        name: str = "",
    ) -> Iterator[R]:
        """Yield what a function returns for each batch of items, one after another, as they are asked for.

        A batch that runs out of memory is worked on again in halves, so the function may be called twice for an item.
        Arguments and errors are those of `batches`.
        """
        if not callable(function):
            raise InvalidRequestError(f"map_batches got {function!r:.60}; expected a function that takes a list.")
        found = self.batches(items, base_batch_size, min_batch_size, max_batch_size, budget=budget, name=name)
        return _mapped(function, found)

    @contextlib.contextmanager
    def measured(self, items: int, name: str = "") -> Iterator[None]:
        """Learn what so many items take from the body of a `with` block, for `optimize_batch_size`.

        A body that runs out of memory halves the sizes that follow; the MemoryError goes on to the caller.

        Raises:
            InvalidRequestError: The number of items is no whole number above 0.
        """
        _check("items", items)
        gauge, workload = Gauge(self._reader), self._workload(name)
        gauge.begin()
        try:
            yield
        except MemoryError:
            with self._lock:
                workload.trouble(items)
            raise
        with self._lock:
            workload.learn(items, gauge.end())

    def learn(self, items: int, used: int, name: str = "") -> None:
        """Learn what so many items took where somebody else measured it, as in a worker process.

        Args:
            items: How many items.
            used: Bytes that they took together.
            name: The sort of work.

        Raises:
            InvalidRequestError: The items are no whole number above 0, or the bytes no whole number from 0 on.
        """
        _check("items", items)
        if used != 0:
            _check("used", used)
        workload = self._workload(name)
        with self._lock:
            workload.learn(items, used)

    def pressure_changed(self, level: str, former: str) -> None:
        """Halve all sizes when memory has become shorter; each grows by a tenth after five batches without trouble."""
        if LEVELS.index(level) > LEVELS.index(former):
            with self._lock:
                for name, workload in self._workloads.items():
                    workload.trouble(self._chosen[name].size if name in self._chosen else workload.largest)

    def close(self) -> None:
        """Close the files that memory is read from; measuring again opens them again."""
        self._reader.close()

    def _workload(self, name: str) -> Workload:
        with self._lock:
            return self._workloads.setdefault(name, Workload())

    def _choose(self, request: Request) -> BatchSize:
        workload, headroom = self._workload(request.name), Gauge(self._reader).headroom()
        with self._lock:
            chosen = _chosen(request, workload, headroom)
            self._chosen[request.name] = self._last = chosen
            return chosen

    def _batches(self, items: Iterable[T], request: Request) -> Iterator[Batch[T]]:
        source, again, gauge = iter(items), deque[T](), Gauge(self._reader)
        workload = self._workload(request.name)

        def settle(batch: Batch[T], well: bool) -> bool:
            if well:
                with self._lock:
                    workload.learn(len(batch), gauge.end())
                return True
            with self._lock:
                workload.trouble(len(batch))
            if len(batch) <= request.least:
                return False
            again.extendleft(reversed(batch))
            return True

        while True:
            size = self._choose(request).size
            gauge.begin()
            taken = [again.popleft() for _ in range(min(size, len(again)))]
            taken += itertools.islice(source, size - len(taken))
            if not taken:
                return
            batch = Batch(taken, settle)
            del taken
            failed = len(again)
            yield batch
            if not batch.done and len(again) == failed:  # used without `with`
                settle(batch, True)  # noqa: FBT003


def _mapped(function: Callable[[list[T]], R], batches: Iterator[Batch[T]]) -> Iterator[R]:
    for batch in batches:
        with batch:
            result = function(batch)
        if batch.done:
            yield result
            del result  # it would count as kept by the next batch


def _chosen(request: Request, workload: Workload, headroom: int | None) -> BatchSize:
    """Return the smallest of all that bounds a size, with the reason why it is one."""
    each, room = workload.bytes_per_item(), SHARE * headroom if headroom is not None else math.inf
    half = f"half of the {headroom} bytes that are free"
    if request.budget is not None and request.budget <= room:
        room, half = float(request.budget), f"the budget of {request.budget} bytes"
    largest = "max_batch_size" if request.most else "base_batch_size, as no max_batch_size was given"
    bounds = [(float(request.most or request.base), largest)]
    if workload.measured:
        bounds.append((fitting(each, room), f"{half} hold so many items of {each:.0f} bytes"))
        bounds.append((workload.reach(request.base, room), "many times as many as were ever measured together"))
    else:
        bounds.insert(0, (request.base, "base_batch_size; nothing was measured yet"))
    bounds.append((workload.ceiling, "halved when memory was short, and rising while all goes well"))
    most, reason = min(bounds, key=lambda one: one[0])
    if most < request.least:
        _check_budget(request, each)
        most, reason = request.least, f"min_batch_size, though {int(most)} would be better: {reason}"
    shown = int(room) if room < math.inf else 0
    return BatchSize(int(most), reason, request.name, each, shown, workload.measured)


def _check_budget(request: Request, each: float) -> None:
    if request.budget is not None and each * request.least > request.budget:
        raise ResourceLimitError(
            f"A batch of {request.least}, the least allowed, takes {each * request.least:.0f} bytes, more than the"
            f" budget of {request.budget}.",
            "Raise the budget, or lower min_batch_size.",
            resource=request.name or None,
        )


def _checked(base: Any, least: Any, most: Any, budget: Any, name: str) -> Request:
    _check("base_batch_size", base)
    _check("min_batch_size", least)
    if most is not None:
        _check("max_batch_size", most)
    if budget is not None:
        _check("budget", budget)
    for smaller, larger, small, large in [
        ("min_batch_size", "base_batch_size", least, base),
        ("base_batch_size", "max_batch_size", base, most if most is not None else base),
    ]:
        if small > large:
            raise InvalidRequestError(
                f"{smaller} is {small}, but {larger} is {large}; allowed: at most that.",
                f"Lower {smaller} or raise {larger}.",
            )
    return Request(base, least, most, budget, name)


def _check(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequestError(
            f"{name} is {value!r:.60}, a {type(value).__name__}; allowed: a whole number above 0."
        )
    if value < 1:
        raise InvalidRequestError(f"{name} is {value}; the least allowed is 1.")
    if value > sys.maxsize:  # more than a list can have, or memory
        raise InvalidRequestError(f"{name} has {value.bit_length()} bits; the most allowed is {sys.maxsize}.")
