"""`LoadBag`: entities by the number of tasks that hold them."""

from __future__ import annotations

import heapq
from collections import OrderedDict

from framework import Member


class LoadBag:
    """Entities with the fewest holders first, among equals the one that came first.

    There is a bucket for each number of holders. Which numbers there are is a heap, so that the least is found in
    constant time while the bucket of the least does not run empty.
    """

    __slots__ = ("_buckets", "_loads", "_places")

    def __init__(self) -> None:
        self._buckets: dict[int, OrderedDict[Member, None]] = {}
        self._loads: list[int] = []
        """The numbers for which there is a bucket, each once; a heap."""
        self._places: dict[Member, int] = {}

    def push(self, member: Member) -> None:
        """Take in an entity that is not here."""
        load = member.load
        if load not in self._buckets:
            self._buckets[load] = OrderedDict()
            heapq.heappush(self._loads, load)
        self._buckets[load][member] = None
        self._places[member] = load

    def pop(self) -> Member:
        """Give the entity with the fewest holders."""
        member, _ = self._buckets[self._least()].popitem(last=False)
        del self._places[member]
        return member

    def discard(self, member: Member) -> None:
        """Let an entity go that is here."""
        del self._buckets[self._places.pop(member)][member]

    def key(self) -> float:
        """Return how many tasks hold the next one."""
        return float(self._least())

    def _least(self) -> int:
        while not self._buckets[self._loads[0]]:
            del self._buckets[heapq.heappop(self._loads)]
        return self._loads[0]
