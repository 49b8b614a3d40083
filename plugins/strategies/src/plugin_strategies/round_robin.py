"""`RoundRobin`: everybody's turn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from framework import Bag, Member, ResourceClass
from plugin_strategies.heap import Heap


class RoundRobin:
    """Takes the entity whose last turn was longest ago, of all classes that fit; who never had one comes first.

    When each entity had its last turn is known for all pools together, by entity, so pools do not mix.
    """

    name = "round_robin"

    def __init__(self) -> None:
        self._clock = itertools.count(1)
        self._turns: dict[Member, int] = {}

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the same for all, so that the turns decide."""
        return 0.0

    def bag(self, resource_class: ResourceClass) -> Bag:
        """Return a bag with those first whose last turn was longest ago."""
        return _Turns(self._turns, self._clock)

    def granted(self, task_id: str, members: Sequence[Member]) -> None:
        """Take note that these had a turn, also those that were taken by name."""
        for member in members:
            self._turns[member] = next(self._clock)

    def removed(self, member: Member) -> None:
        """Forget an entity."""
        self._turns.pop(member, None)


class _Turns:
    """The entities of one class by their last turns."""

    __slots__ = ("_clock", "_heap", "_turns")

    def __init__(self, turns: dict[Member, int], clock: itertools.count[int]) -> None:
        self._turns = turns
        self._clock = clock
        self._heap = Heap()

    def push(self, member: Member) -> None:
        """Take in an entity that is not here."""
        self._heap.push(member, self._turns.get(member, 0))

    def pop(self) -> Member:
        """Give the entity whose last turn was longest ago; this is a turn."""
        self._settle()
        member = self._heap.pop()
        self._turns[member] = next(self._clock)
        return member

    def discard(self, member: Member) -> None:
        """Let an entity go that is here."""
        self._heap.discard(member)

    def key(self) -> float:
        """Return when the next one had its last turn."""
        return float(self._settle())

    def _settle(self) -> int:
        """Put back who had a turn while it was in here, as one may that serves several tasks; return the first turn."""
        while True:
            turn, member = self._heap.first()
            latest = self._turns.get(member, 0)
            if latest == turn:
                return latest
            self._heap.discard(member)
            self._heap.push(member, latest)
