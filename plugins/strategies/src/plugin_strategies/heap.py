"""`Heap`: entities in the order of their keys."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

from framework import Member

_SPARE = 64
"""Entries that may be out of date, beyond one for each that is not, before the list is made anew."""


class Heap:
    """Entities in the order of their keys, those with equal keys in the order in which they came.

    A binary heap from which nothing is deleted but its first: an entry that was discarded stays until it comes up (the
    "lazy deletion" of the notes on priority queues in the documentation of `heapq`). Once more than half of the list is
    out of date it is made anew, so it is never longer than twice what is in here, and a bit. Each method takes time
    that grows with the logarithm of that, on average.
    """

    __slots__ = ("_entries", "_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[tuple[Any, int, Member]] = []
        self._entries: dict[Member, tuple[Any, int, Member]] = {}
        self._numbers = itertools.count()

    def push(self, member: Member, key: Any) -> None:
        """Take in an entity that is not here."""
        entry = self._entries[member] = (key, next(self._numbers), member)
        heapq.heappush(self._heap, entry)
        self._tidy()

    def first(self) -> tuple[Any, Member]:
        """Return the least key, and whose it is; there is one."""
        heap, entries = self._heap, self._entries
        while entries.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)
        return heap[0][0], heap[0][2]

    def pop(self) -> Member:
        """Give the entity with the least key; there is one."""
        member = self.first()[1]
        heapq.heappop(self._heap)
        del self._entries[member]
        self._tidy()
        return member

    def discard(self, member: Member) -> None:
        """Let an entity go that is here."""
        del self._entries[member]
        self._tidy()

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + _SPARE:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
