"""Bags: the entities of one group that have room, in the order in which they are taken.

A strategy may bring its own (`framework.Bag`); these are the pool's, and what guards it against a stranger's.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from framework import Bag

if TYPE_CHECKING:
    from plugin_pool.entity import Entity
    from plugin_pool.steering import Steering

_SPARE = 64
"""Entries of a stack that may be out of date, beyond one for each that is not, before it is made anew."""


class Store(Protocol):
    """What a group keeps its entities with room in."""

    def add(self, entity: Entity) -> None:
        """Take in an entity that is new, or in service again; it is taken last."""

    def push(self, entity: Entity) -> None:
        """Take in an entity that somebody gave back; it is taken first, because it is warm."""

    def pop(self) -> Entity:
        """Give the next one; there is one."""

    def discard(self, entity: Entity) -> None:
        """Let go one that is here, and that is about to be taken or to leave service."""

    def __iter__(self) -> Iterator[Entity]:
        """Yield all, in the order in which they would be taken as far as that is known."""


class Stack:
    """Entities that one task uses at a time, the last used on top.

    Attributes:
        entities: The uppermost first.
        discarded: Those that still lie there and are passed over later, so that nothing is searched for.
    """

    __slots__ = ("discarded", "entities")

    def __init__(self) -> None:
        self.entities: deque[Entity] = deque()
        self.discarded: set[Entity] = set()

    def add(self, entity: Entity) -> None:
        """Put an entity at the bottom."""
        if self.discarded and entity in self.discarded:
            self.discarded.remove(entity)
        else:
            self.entities.append(entity)

    def push(self, entity: Entity) -> None:
        """Put an entity on top."""
        if self.discarded and entity in self.discarded:
            self.discarded.remove(entity)
        else:
            self.entities.appendleft(entity)

    def pop(self) -> Entity:
        """Give the uppermost."""
        while True:
            entity = self.entities.popleft()
            if entity not in self.discarded:
                return entity
            self.discarded.remove(entity)

    def discard(self, entity: Entity) -> None:
        """Let an entity go."""
        self.discarded.add(entity)
        if len(self.discarded) * 2 > len(self.entities) + _SPARE:
            self.entities, self.discarded = deque(self), set()

    def __iter__(self) -> Iterator[Entity]:
        return (one for one in self.entities if one not in self.discarded)


class Shelves:
    """Entities that several tasks share: a shelf for each number of tasks; the one with fewest is taken from."""

    __slots__ = ("shelves",)

    def __init__(self, capacity: int) -> None:
        self.shelves: list[OrderedDict[Entity, None]] = [OrderedDict() for _ in range(capacity)]

    def add(self, entity: Entity) -> None:
        """Put an entity at the end of its shelf."""
        self.shelves[entity.load][entity] = None

    def push(self, entity: Entity) -> None:
        """Put an entity at the beginning of its shelf."""
        self.add(entity)
        self.shelves[entity.load].move_to_end(entity, last=False)

    def pop(self) -> Entity:
        """Give the first of those with fewest tasks."""
        return next(shelf for shelf in self.shelves if shelf).popitem(last=False)[0]

    def discard(self, entity: Entity) -> None:
        """Let an entity go."""
        del self.shelves[entity.load][entity]

    def __iter__(self) -> Iterator[Entity]:
        return (entity for shelf in self.shelves for entity in shelf)


class Guarded:
    """A strategy's bag, and a list of what must be in it: should the bag fail, the list goes on in its place."""

    __slots__ = ("_bag", "_members", "_steering")

    def __init__(self, bag: Bag, steering: Steering) -> None:
        self._bag: Bag | None = bag
        self._members: OrderedDict[Entity, None] = OrderedDict()
        self._steering = steering

    @property
    def works(self) -> bool:
        """False once the bag has failed."""
        return self._bag is not None

    def add(self, entity: Entity) -> None:
        """Put an entity in."""
        self._members[entity] = None
        if self._bag is not None:
            try:
                self._bag.push(entity)
            except Exception as error:  # noqa: BLE001  # whatever a stranger's code raises
                self._fail("push", repr(error))

    push = add

    def pop(self) -> Entity:
        """Give what the strategy takes."""
        if self._bag is not None:
            try:
                found = self._bag.pop()
                del self._members[found]  # type: ignore[arg-type]  # what is no entity is not among them
            except Exception as error:  # noqa: BLE001
                self._fail("pop", repr(error))
            else:
                return found  # type: ignore[return-value]  # it is among the members
        return self._members.popitem(last=False)[0]

    def discard(self, entity: Entity) -> None:
        """Let an entity go."""
        del self._members[entity]
        if self._bag is not None:
            try:
                self._bag.discard(entity)
            except Exception as error:  # noqa: BLE001
                self._fail("discard", repr(error))

    def key(self) -> float:
        """Return how dear the next one is; infinite when the bag is empty."""
        if not self._members:
            return math.inf
        if self._bag is not None:
            try:
                key = float(self._bag.key())
            except Exception as error:  # noqa: BLE001
                self._fail("key", repr(error))
            else:
                if not math.isnan(key):
                    return key
                self._fail("key", "it is not a number")
        return 0.0

    def _fail(self, what: str, problem: str) -> None:
        self._bag = None
        self._steering.failed(f"{what} of a bag", problem)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._members)


__all__ = ["Guarded", "Shelves", "Stack", "Store"]
