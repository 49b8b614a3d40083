"""`Group`: the entities of one resource class, those with room at hand in constant time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework import ResourceClass
from plugin_pool.entity import IN_SERVICE, REMOVED, Entity

if TYPE_CHECKING:
    from plugin_pool.lease import Lease
    from plugin_pool.line import Queue

_SPARE = 64
"""Entries of a bag that may be out of date, beyond one for each that is not, before it is made anew."""


class Group:
    """Entities that are alike in type, capabilities, labels and capacity.

    For each number of holders there is a bag of the entities that have so many; the bag with fewest is taken from. An
    entity that leaves a bag otherwise than from its front stays listed there and is passed over later, so that nothing
    is ever searched for; the counts are exact all the same.

    Attributes:
        number: Its place in the order in which groups were made; its bit in the masks of the index.
        rank: What the strategy says; lower is taken first.
        example: Any of its entities; None where it has none, or not one that is known without a search.
        room: Entities that one more task may have.
        in_service: Entities that are neither faulty nor draining.
        total: All its entities.
        waiting: The queues of tasks that any of its entities may serve.
        free_in: For each number of holders, how many entities in service have so many.
    """

    __slots__ = (
        "bags",
        "capacity",
        "example",
        "free_in",
        "in_service",
        "number",
        "rank",
        "room",
        "shape",
        "total",
        "waiting",
    )

    def __init__(self, shape: ResourceClass, capacity: int, number: int) -> None:
        self.shape = shape
        self.capacity = capacity
        self.number = number
        self.rank = 0.0
        self.room = self.in_service = self.total = 0
        self.example: Entity | None = None
        self.waiting: set[Queue] = set()
        self.bags: dict[int, deque[Entity]] = {}
        self.free_in = [0] * capacity

    def add(self, entity: Entity) -> None:
        """Take in a new entity."""
        self.total += 1
        self.example = entity
        self.in_service += 1
        self._list(entity, front=False)

    def take(self, lease: Lease) -> Entity:
        """Give the entity with fewest holders to a lease; there must be room."""
        if self.capacity == 1:
            return self.take_alone(lease)
        load = 0
        while not self.free_in[load]:
            load += 1
        bag = self.bags[load]
        while True:
            entity = bag.popleft()
            entity.listed &= ~(1 << load)
            if len(entity.holders) == load and not entity.service:
                break
        self._hold(entity, load, lease)
        return entity

    def take_alone(self, lease: Lease) -> Entity:
        """Do what `take` does, quicker, where entities are not shared."""
        pop = self.bags[0].popleft
        while True:
            entity = pop()
            entity.listed = 0
            if not entity.holders and not entity.service:
                break
        self.room -= 1
        self.free_in[0] -= 1
        entity.holders = (lease,)
        return entity

    def take_exactly(self, entity: Entity, lease: Lease) -> None:
        """Give this entity, which must have room, to a lease."""
        self._hold(entity, len(entity.holders), lease)

    def give_back(self, entity: Entity, lease: Lease) -> None:
        """End one lease of an entity."""
        if self.capacity == 1 and not entity.service:
            entity.holders = ()
            self.room += 1
            self.free_in[0] += 1
            if not entity.listed:
                entity.listed = 1
                self.bags[0].appendleft(entity)
            return
        load = len(entity.holders)
        served = entity.service == IN_SERVICE
        if served and load < self.capacity:
            self.free_in[load] -= 1
            self.room -= 1
        entity.holders = () if load == 1 else tuple([one for one in entity.holders if one is not lease])
        if served:
            self._list(entity, front=True)

    def set_service(self, entity: Entity, service: int) -> None:
        """Take an entity out of service, or back into it."""
        before, entity.service = entity.service, service
        if service == IN_SERVICE and before != IN_SERVICE:
            self.in_service += 1
            if len(entity.holders) < self.capacity:
                self._list(entity, front=False)
        elif service != IN_SERVICE and before == IN_SERVICE:
            self.in_service -= 1
            if len(entity.holders) < self.capacity:
                self.free_in[len(entity.holders)] -= 1
                self.room -= 1
        if service == REMOVED:
            self.total -= 1
            if self.example is entity:
                self.example = next(self.first(), None)

    def first(self) -> Iterator[Entity]:
        """Yield the entities with room, in the order in which they would be taken."""
        for load in sorted(self.bags):
            for entity in self.bags[load]:
                if len(entity.holders) == load and entity.service == IN_SERVICE:
                    yield entity

    def _hold(self, entity: Entity, load: int, lease: Lease) -> None:
        self.free_in[load] -= 1
        entity.holders = (*entity.holders, lease)
        self.room -= 1
        if load + 1 < self.capacity:
            self._list(entity, front=False)

    def _list(self, entity: Entity, *, front: bool) -> None:
        """Count an entity that has room, and put it into the bag where it is not there yet."""
        load = len(entity.holders)
        self.room += 1
        self.free_in[load] += 1
        bit = 1 << load
        if entity.listed & bit:
            return
        entity.listed |= bit
        bag = self.bags.get(load)
        if bag is None:
            bag = self.bags[load] = deque()
        if front:
            bag.appendleft(entity)
        else:
            bag.append(entity)
        if len(bag) > 2 * self.free_in[load] + _SPARE:
            self._clear(load)

    def _clear(self, load: int) -> None:
        """Leave out of a bag what is out of date."""
        kept: deque[Entity] = deque()
        for entity in self.bags[load]:
            if len(entity.holders) == load and not entity.service:
                kept.append(entity)
            else:
                entity.listed &= ~(1 << load)
        self.bags[load] = kept
