"""`Observed`: what a pool says of itself to those who measure it and who warn."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from typing import NamedTuple

from framework import ResourceStatus
from plugin_pool.change import Change
from plugin_pool.line import Line
from plugin_pool.queues import Queue
from plugin_pool.records import ReleaseReason, Tier
from plugin_pool.request import Request
from plugin_pool.stock import Stock
from plugin_pool.tally import BOUNDS, PoolStatistics
from plugin_pool.vocabulary import TYPICAL

MOST_QUEUES = 1000
"""So many different requests that tasks wait with are looked at; what it takes to meet one must be worked out."""
_SEARCHED = 10_000
_NAMED = 10
OTHER = "other"
"""Stands for all types that are not predefined: labels of measurements must be few."""


class Standing(NamedTuple):
    """Tasks that wait for the same.

    Attributes:
        request: What for.
        tier: What it would take now; `free` where it is kept for somebody else.
        tasks: How many they are.
        first: Who is next.
        waited: Seconds that the one has waited that has waited longest.
    """

    request: Request
    tier: Tier
    tasks: int
    first: str
    waited: float


class TypeCount(NamedTuple):
    """How many entities of a type nobody holds, some task holds, and are given to nobody any more."""

    free: int
    in_use: int
    out_of_service: int


class Blocked(NamedTuple):
    """How many entities are blocked, and the first of the tasks that hold them."""

    entities: int
    tasks: tuple[str, ...]


class Observed:
    """Counts and queues of a pool, looked at. Thread-safe; the lock is held for a moment at a time."""

    _lock: threading.Lock
    _change: Change
    _stock: Stock
    _line: Line
    _clock: Callable[[], float]

    def get_statistics(self) -> PoolStatistics:
        """Return what was counted since the pool was made."""
        with self._lock, self._change:
            tally, held = self._stock.tally, len(self._stock.leases)
            grants = self._stock.granted()
            releases = dict(tally.ended)
            waits = list(itertools.accumulate(tally.waits.counts))
            refused, left, waited = dict(tally.refused), tally.left, tally.waits.total
        releases[ReleaseReason.COMPLETED] = grants - held - sum(releases.values())
        bounds = (*BOUNDS, math.inf)
        return PoolStatistics(grants, held, releases, refused, left, dict(zip(bounds, waits, strict=True)), waited)

    def get_waiting(self, most: int = MOST_QUEUES) -> list[Standing]:
        """Return the tasks that wait, those for the same together; of more than so many requests some are left out."""
        with self._lock, self._change:
            queues = self._line.queues(most)
        return [found for one in queues if (found := self._standing(one)) is not None]

    def get_blocked(self) -> Blocked:
        """Return how many entities are held by tasks that wait for something else, and some of those tasks."""
        with self._lock, self._change:
            count = self._stock.report(0).blocked
            leases = itertools.islice(self._stock.leases.values(), _SEARCHED) if count else ()
            blocked = (one.task_id for one in leases if one.usage is ResourceStatus.BLOCKED)
            return Blocked(count, tuple(itertools.islice(blocked, _NAMED)))

    def when_stirred(self, callback: Callable[[], object]) -> None:
        """Have a function called whenever a task begins to wait; it must be quick, and must not call the pool."""
        with self._lock, self._change:
            self._stock.tally.stirred = callback

    def get_type_counts(self) -> dict[str, TypeCount]:
        """Return how many entities there are of each predefined type, and of all `other` types together."""
        counts = {name: [0, 0, 0] for name in (*TYPICAL, OTHER)}
        for group in list(self._stock.index.groups):  # not locked: as good as at any moment, and there may be many
            count = counts.get(group.shape.type, counts[OTHER])
            free, served, total = group.idle, group.in_service, group.total
            count[0] += free
            count[1] += max(served - free, 0)
            count[2] += max(total - served, 0)
        return {name: TypeCount(*count) for name, count in counts.items()}

    def _standing(self, queue: Queue) -> Standing | None:
        with self._lock, self._change:
            if not queue.waiters:  # all were served meanwhile
                return None
            first = queue.first
            longest = next(iter(queue.waiters.values()))  # a task joins when it begins to wait
            tier = self._line.tier(queue.request, first.own)
            waited = self._clock() - longest.since
            return Standing(queue.request, tier, len(queue.waiters), first.task_id, waited)
