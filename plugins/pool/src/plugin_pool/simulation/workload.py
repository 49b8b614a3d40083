"""`Workload`: the entities of a pool, and the tasks that come to it."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from plugin_pool.records import ResourceInstance, ResourceRequirement
from plugin_pool.simulation.law import Law


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Tasks that are alike.

    Attributes:
        name: What they are called.
        requirements: What each requires.
        duration: How long one keeps what it was given.
        priority: As in `ResourcePool.acquire`.
    """

    name: str
    requirements: tuple[ResourceRequirement, ...]
    duration: Law
    priority: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where tasks come from: the time between two, and the streams that they are of, with the share of each."""

    gap: Law
    streams: tuple[Stream, ...]
    shares: tuple[float, ...] = (1.0,)


class Arrival(NamedTuple):
    """A task that comes: when, in seconds from the beginning, of which stream, and how many seconds it will run."""

    at: float
    stream: Stream
    duration: float


@dataclass(frozen=True, slots=True)
class Workload:
    """The entities of a pool, and the tasks that come to it."""

    entities: tuple[ResourceInstance, ...]
    sources: tuple[Source, ...]

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams, source by source."""
        return tuple([stream for source in self.sources for stream in source.streams])

    @property
    def rate(self) -> float:
        """How many tasks come in a second."""
        return sum([1 / source.gap.mean for source in self.sources])

    @property
    def capacity(self) -> int:
        """How many entities there are, one that several tasks may share counted as many times."""
        return sum([one.capacity for one in self.entities])

    def arrivals(self, seed: int) -> Iterator[Arrival]:
        """Yield the tasks in the order in which they come, without end.

        All chance is drawn here, before a pool sees anything. So every strategy gets the very same tasks, and a
        difference in what became of them is due to the strategy.
        """
        chance = random.Random(seed)  # noqa: S311 - the same seed must give the same workload
        bounds = [tuple(itertools.accumulate(source.shares)) for source in self.sources]
        heap = [(source.gap.draw(chance), number) for number, source in enumerate(self.sources)]
        heapq.heapify(heap)
        while heap:
            at, number = heap[0]
            source = self.sources[number]
            (stream,) = chance.choices(source.streams, cum_weights=bounds[number])
            yield Arrival(at, stream, stream.duration.draw(chance))
            heapq.heapreplace(heap, (at + source.gap.draw(chance), number))
