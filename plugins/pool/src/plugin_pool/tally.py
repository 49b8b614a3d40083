"""`Tally`: counts of what happens off the shortest way; `Waits`, how long tasks waited."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from plugin_pool.records import ReleaseReason, Tier

BOUNDS = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper bounds of the buckets of waits, in seconds; one more takes what is longer."""


class Waits:
    """How long tasks waited that were served, in buckets of seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one wait."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Tally:
    """Counts since the pool was made. The pool's lock must be held to change them.

    An allocation that succeeds at once and completes is not counted here: that there was one follows from the number of
    its lease, and that it completed, from what is left when all other endings are taken off.

    Attributes:
        ended: Leases by the reason of their end, without those that completed.
        refused: Tasks that were sent away, by the tier for which.
        left: Tasks that gave up waiting: they were cancelled, or their time was over.
        waits: How long those waited that were served.
        stirred: Called when a task begins to wait, in the line or for something else that it depends on; must be quick,
            and must not call the pool.
    """

    def __init__(self) -> None:
        self.ended = dict.fromkeys(ReleaseReason, 0)
        self.refused = dict.fromkeys(Tier, 0)
        self.left = 0
        self.waits = Waits()
        self.stirred: Callable[[], object] = _nothing

    def leave(self, refused: Tier | None) -> None:
        """Count a task that waits no more and got nothing: it gave up, or was refused for a tier."""
        if refused is None:
            self.left += 1
        else:
            self.refused[refused] += 1


class PoolStatistics(NamedTuple):
    """Counts since the pool was made; `held` is of now.

    Attributes:
        grants: Leases that were given.
        held: Leases that are held.
        releases: Leases that ended, by reason.
        refusals: Tasks that were sent away, by the tier for which; `free` is what was kept for others.
        left: Tasks that gave up waiting.
        waits: How many tasks that were served waited up to so many seconds; the last bound is infinite.
        waited: Seconds that they waited altogether.
    """

    grants: int
    held: int
    releases: dict[ReleaseReason, int]
    refusals: dict[Tier, int]
    left: int
    waits: dict[float, int]
    waited: float


def _nothing() -> None:
    return None
