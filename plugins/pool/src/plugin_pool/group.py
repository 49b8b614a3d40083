"""`Group`: the entities of one resource class, those with room at hand in constant time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from framework import ResourceClass
from plugin_pool.bags import Guarded, Shelves, Stack, Store
from plugin_pool.entity import IN_SERVICE, REMOVED, Entity

if TYPE_CHECKING:
    from plugin_pool.lease import Lease
    from plugin_pool.queues import Queue


class Kind:
    """A type of entities.

    Attributes:
        version: Changes whenever a group of this type has room again, or none any more.
    """

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


class Group:
    """Entities that are alike in type, capabilities, labels and capacity.

    Attributes:
        kind: Its type, shared with the other groups of it.
        number: Its place in the order in which groups were made; its bit in the masks of the index.
        rank: What the strategy says; lower is taken first.
        bag: The entities that have room.
        stack: The same where it is the pool's own and entities are not shared, for the shortest way; else None.
        room: Entities that one more task may have.
        idle: Of those, the ones that nobody has.
        in_service: Entities that are neither faulty nor draining.
        total: All its entities.
        example: Any of its entities; None where it has none, or not one that is known without a search.
        waiting: The queues of tasks that any of its entities may serve.
    """

    __slots__ = (
        "bag",
        "capacity",
        "example",
        "in_service",
        "kind",
        "number",
        "rank",
        "room",
        "shape",
        "shared_idle",
        "stack",
        "total",
        "waiting",
    )

    def __init__(self, shape: ResourceClass, capacity: int, number: int, kind: Kind) -> None:
        self.shape = shape
        self.kind = kind
        self.capacity = capacity
        self.number = number
        self.rank = 0.0
        self.room = self.in_service = self.total = self.shared_idle = 0
        self.example: Entity | None = None
        self.waiting: set[Queue] = set()
        self.stack: Stack | None = Stack() if capacity == 1 else None
        self.bag: Store = self.stack or Shelves(capacity)

    @property
    def idle(self) -> int:
        """Entities in service that nobody has."""
        return self.room if self.capacity == 1 else self.shared_idle

    def key(self) -> float:
        """Return how dear the next entity is for the strategy."""
        return self.bag.key() if isinstance(self.bag, Guarded) else 0.0

    def keep_in(self, bag: Guarded) -> None:
        """Keep the entities in a bag of the strategy from now on."""
        for entity in self.bag:
            bag.add(entity)
        self.bag, self.stack = bag, None

    def add(self, entity: Entity) -> None:
        """Take in an entity that is new here; it may be held or out of service already."""
        self.total += 1
        self.example = entity
        if entity.service == IN_SERVICE:
            self.in_service += 1
            self._list(entity)

    def fill(self, entities: Sequence[Entity]) -> None:
        """Take in many entities at once that are new and that nobody has."""
        self.total += len(entities)
        self.in_service += len(entities)
        self.shared_idle += len(entities)
        self.example = entities[-1]
        self.count(len(entities))
        add = self.bag.add
        for entity in entities:
            add(entity)

    def mend(self, entities: Collection[Entity], bag: Guarded | None) -> None:
        """Work everything out from what has become of the entities, after an interrupt.

        Args:
            entities: All that belong here.
            bag: A new one of the strategy, where it has any; None to keep to the pool's own.
        """
        members = [one for one in dict.fromkeys([*self.bag, *entities]) if one.has_room]
        self.stack = Stack() if self.capacity == 1 and bag is None else None
        self.bag = bag or self.stack or Shelves(self.capacity)
        for one in members:
            self.bag.add(one)
        self.room, self.total = len(members), len(entities)
        self.shared_idle = sum([not one.holders for one in members])
        self.in_service = sum([one.service == IN_SERVICE for one in entities])
        self.example = next(iter(entities), None)
        self.kind.version += 1

    def hold(self, entity: Entity, lease: Lease) -> None:
        """Give an entity that had room and has left the bag to a lease."""
        self.count(-1)
        if not entity.holders:
            self.shared_idle -= 1
        entity.holders = (*entity.holders, lease)
        self._list(entity)

    def give_back(self, entity: Entity, lease: Lease) -> None:
        """End one lease of an entity."""
        had_room = entity.has_room
        if had_room:
            self.bag.discard(entity)
        held = entity.holders
        entity.holders = () if len(held) == 1 else tuple([one for one in held if one is not lease])
        if entity.service == IN_SERVICE:
            self.count(int(not had_room))
            self.shared_idle += not entity.holders
            self.bag.push(entity)

    def again(self, entity: Entity, change: Callable[[], object]) -> None:
        """Put an entity where it belongs after a change in how the strategy sees it."""
        has_room = entity.has_room
        if has_room:
            self.bag.discard(entity)
        change()
        if has_room:
            self.bag.push(entity)

    def set_service(self, entity: Entity, service: int) -> None:
        """Take an entity out of service, or back into it."""
        had_room, before = entity.has_room, entity.service
        if had_room and service != IN_SERVICE:
            self.bag.discard(entity)
            self.count(-1)
            self.shared_idle -= not entity.holders
        entity.service = service
        self.in_service += (service == IN_SERVICE) - (before == IN_SERVICE)
        if service == IN_SERVICE != before:
            self._list(entity)
        if service == REMOVED:
            self.total -= 1
            if self.example is entity:
                self.example = next(iter(self.bag), None)

    def _list(self, entity: Entity) -> None:
        """Count an entity if it has room, and put it behind the others."""
        if entity.has_room:
            self.count(1)
            self.shared_idle += not entity.holders
            self.bag.add(entity)

    def count(self, change: int) -> None:
        """Count entities that have room now, or have it no more."""
        had = self.room
        self.room = had + change
        if not had or not self.room:
            self.kind.version += 1
