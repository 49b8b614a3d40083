"""`Workload`: how many bytes an item of one sort of work takes, and how many items a batch of it may have.

Nothing here reads a clock, a file or the memory. The size is the largest number whose estimated bytes fit; what went
wrong halves a ceiling, which rises by a tenth after five batches without trouble.
"""

from __future__ import annotations

import math
from collections import deque

SHARE = 0.5
"""Of the headroom that a batch may take: the other half is for what else happens meanwhile."""
CERTAINTY = 0.95
"""Of the items that were measured, how many took no more than what is taken as the bytes of an item."""
REMEMBERED = 64
"""Batches."""
REACH = 8
"""How many times as many items as were ever measured together a batch may have at most."""
NEAR = 0.25
"""Of the room: what is estimated to take more may have only twice as many items as were measured.

What is measured is too little by what was free in the process already, which matters less the more is measured.
"""
_APART = 2 / 3
"""Of the larger one, how large the smaller of two sizes may be for their difference to tell something."""
CLEAN = 5
"""Batches without trouble after which a ceiling rises."""
RISE = 1.1


class Workload:
    """What was learnt of one sort of work."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self._clean = 0
        self.ceiling: float = math.inf
        """Most items that a batch may have after trouble, until enough went well."""

    @property
    def measured(self) -> int:
        """Batches that are remembered."""
        return len(self._samples)

    @property
    def largest(self) -> int:
        """The most items that were measured together, among what is remembered."""
        return max((count for _, count in self._samples), default=0)

    def bytes_per_item(self) -> float:
        """Return what an item takes: the 95th percentile over the items measured; 0 before the first batch.

        Each item counts once, so a small batch, in which what every batch takes weighs most, counts little.
        """
        ordered = sorted(self._samples)
        wanted = CERTAINTY * sum(count for _, count in ordered)
        for each, count in ordered:
            wanted -= count
            if wanted <= 0:
                return max(each, self._slope())
        return 0.0

    def _slope(self) -> float:
        """Return how many bytes each further item took, between the two largest sizes that differ enough to tell.

        What was free in the process already, and is not seen to be used, was so for both.
        """
        largest = self.largest
        each, smaller = max(
            ((each, count) for each, count in self._samples if count <= largest * _APART),
            default=(0.0, 0),
            key=lambda one: one[1],
        )
        most = max(each for each, count in self._samples if count == largest)
        return (most * largest - each * smaller) / (largest - smaller) if smaller else 0.0

    def learn(self, items: int, used: int) -> None:
        """Take a batch that went well: how many items it had, and how many bytes were used for it."""
        if items > 0:
            self._samples.append((max(0, used) / items, items))
            self._clean += 1
            if self._clean >= CLEAN and self.ceiling < math.inf:
                self._clean = 0
                self.ceiling = max(self.ceiling + 1, self.ceiling * RISE)

    def trouble(self, items: int) -> None:
        """Halve the ceiling: memory was out, or got short, with batches of so many items."""
        self._clean = 0
        self.ceiling = max(1, min(self.ceiling, items) // 2)

    def reach(self, base: int, room: float) -> float:
        """Return the most items that can be judged by what was measured, and at least the base.

        Args:
            base: Items of a batch of which nothing is known.
            room: Bytes that a batch may take.
        """
        near = fitting(self.bytes_per_item(), NEAR * room)
        return max(base, 2 * self.largest, min(REACH * self.largest, near))


def fitting(each: float, room: float) -> float:
    """Return how many items of so many bytes fit into a room."""
    return room // each if each > 0 else math.inf
