"""`Outcome`: what became of the tasks of a workload."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

ALL = "all"
"""What the sum of all streams is called."""

LATE = 10.0
"""A task is late when it waits longer than so many times the mean duration of its stream, unless told otherwise."""


@dataclass(slots=True)
class Tally:
    """What became of the tasks of one stream. All times are in seconds.

    Attributes:
        name: The stream.
        service: The mean duration of its tasks.
        arrived: How many came.
        refused: How many asked for what the pool does not have.
        completed: How many were finished.
        waits: How long each task waited that was started.
        waiting: How long each had waited that was not yet started at the end.
        used: Seconds for which entities were held, summed up over entities.
    """

    name: str
    service: float
    arrived: int = 0
    refused: int = 0
    completed: int = 0
    waits: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    used: float = 0.0

    def late(self, seconds: float | None) -> int:
        """Return how many waited longer than so many seconds, or than `LATE` times their mean duration."""
        most = LATE * self.service if seconds is None else seconds
        return sum([one > most for one in (*self.waits, *self.waiting)])

    @property
    def starvation(self) -> float:
        """The longest wait, in mean durations of a task."""
        return max([*self.waits, *self.waiting], default=0.0) / self.service


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the tasks of a workload under one strategy.

    Attributes:
        strategy: Its name.
        seconds: How long it was played, in its own time.
        capacity: How many entities there were, shared ones counted as often as they can be shared.
        tallies: What became of each stream.
    """

    strategy: str
    seconds: float
    capacity: int
    tallies: tuple[Tally, ...]

    def of(self, name: str) -> Tally:
        """Return the tally of a stream."""
        return next(one for one in self.tallies if one.name == name)

    @property
    def total(self) -> Tally:
        """All streams together."""
        total = Tally(ALL, sum([one.service for one in self.tallies]) / len(self.tallies))
        for one in self.tallies:
            total.arrived += one.arrived
            total.refused += one.refused
            total.completed += one.completed
            total.waits += one.waits
            total.waiting += one.waiting
            total.used += one.used
        return total

    def rows(self, late: float | None = None) -> list[dict[str, Any]]:
        """Return the figures of all tasks, then those of each stream.

        A task that was not started counts with the time that it had waited, so that those that starve do not make
        waits look shorter. `starvation` and `late` of all tasks are the greatest and the sum of those of the streams.
        """
        total = self._row(self.total)
        total["starvation"] = max([one.starvation for one in self.tallies])
        total["late"] = sum([one.late(late) for one in self.tallies])
        return [total, *[{**self._row(one), "late": one.late(late)} for one in self.tallies]]

    def _row(self, tally: Tally) -> dict[str, Any]:
        waits = sorted([*tally.waits, *tally.waiting])
        return {
            "strategy": self.strategy,
            "tasks": tally.name,
            "arrived": tally.arrived,
            "unstarted": len(tally.waiting),
            "refused": tally.refused,
            "mean": sum(waits) / len(waits) if waits else None,
            "median": quantile(waits, 0.5),
            "p95": quantile(waits, 0.95),
            "p99": quantile(waits, 0.99),
            "longest": waits[-1] if waits else None,
            "starvation": tally.starvation,
            "late": 0,
            "utilisation": tally.used / (self.seconds * self.capacity) if self.seconds and self.capacity else 0.0,
            "throughput": tally.completed / self.seconds if self.seconds else 0.0,
        }


def quantile(ordered: Sequence[float], part: float) -> float | None:
    """Return the least of some sorted values that is not exceeded by this part of them; None where there are none."""
    return ordered[max(math.ceil(part * len(ordered)), 1) - 1] if ordered else None
