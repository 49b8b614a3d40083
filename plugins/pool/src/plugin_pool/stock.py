"""`Stock`: the entities of a pool and who holds them, without locks and without waiting."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from framework import ResourceStatus
from framework.errors import InvalidRequestError, ResourceUnavailableError, did_you_mean
from plugin_pool.arrivals import Arrivals
from plugin_pool.entity import DRAINING, FAULTY, IN_SERVICE, REMOVED, Entity, new_entity
from plugin_pool.group import Group
from plugin_pool.index import Index, bits
from plugin_pool.intent import Intent
from plugin_pool.lease import Lease
from plugin_pool.planner import Plan, Planner
from plugin_pool.records import Capability, CatalogEntry, ReleaseReason, ResourceInstance, StatusReport, Tier
from plugin_pool.steering import Steering
from plugin_pool.tally import Tally
from plugin_pool.vocabulary import TYPICAL
from plugin_pool.watcher import Watcher

if TYPE_CHECKING:
    from plugin_pool.pool import ResourcePool

_DEPLOYED = ResourceStatus.DEPLOYED
_COMPLETED = ReleaseReason.COMPLETED
_SEARCHED = 1000
"""So many ids are searched for one that is much like a misspelt one."""


class Stock:
    """Entities, leases and counts."""

    def __init__(self, pool: ResourcePool, index: Index) -> None:
        self._pool = pool
        self.index = index
        self.entities: dict[str, Entity] = {}
        self.leases: dict[str, Lease] = {}
        self.out_of_service: dict[Entity, None] = {}
        """Entities that are faulty or draining, in the order in which that was found."""
        self.planner = Planner(index, self.entities, self.out_of_service)
        self.watchers: tuple[Watcher, ...] = ()
        self.tally = Tally()
        self.plain = False
        """True once it is known that the strategy only ranks: then the shortest way may be taken."""
        self.epoch = itertools.count(1).__next__
        self._looks = self._before = 0
        self.intent: Intent | None = None
        self.counts = dict.fromkeys(ResourceStatus, 0)
        """Entities that are busy, blocked, in error or released; the others follow from the counts of the groups."""

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody of every change."""
        self.watchers = (*self.watchers, watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell somebody no more."""
        self.watchers = tuple([one for one in self.watchers if one is not watcher])

    def choose(self) -> None:
        """Find out what the strategy wants, before the first request.

        Raises:
            InvalidRequestError: The strategy raised, or its rank is no finite number.
        """
        if self.index.steering is None:
            self.heed(self.index.choose())

    def heed(self, steering: Steering) -> None:
        """Let a strategy know what it wants to know."""
        if steering.listens and steering not in self.watchers:
            self.watch(steering)
        self.plain = not (steering.has_bags or steering.has_hints)

    def score(self, entity: Entity, scores: Mapping[str, float]) -> None:
        """Tell the strategy what was measured of an entity, and put it where it belongs now."""
        self.choose()
        if self.index.steering is not None:
            entity.group.again(entity, functools.partial(self.index.steering.score, entity, scores))

    def add(self, given: ResourceInstance) -> Entity:
        """Take in an entity.

        Raises:
            InvalidRequestError: Its id is taken.
        """
        self._refuse_taken(given.id)
        return self._enter(given.id, given.name, self.index.group(given))

    def _refuse_taken(self, name: str) -> None:
        if name in self.entities:
            raise InvalidRequestError(
                f"The pool has a resource {name!r} already.", "Give it another id, or remove the other one first."
            )

    def _enter(self, name: str, shown: str, group: Group) -> Entity:
        entity = self.entities[name] = new_entity(name, "" if shown == name else shown, group)
        group.add(entity)
        self.index.service += 1
        for watcher in self.watchers:
            watcher.added(entity)
        return entity

    def add_all(self, arrivals: Arrivals) -> tuple[list[Entity], list[Group]]:
        """Take in many entities, all or none, and return them, and the groups of which they are the first.

        Raises:
            InvalidRequestError: An id is taken, or there twice.
        """
        self._refuse_any_taken(arrivals.names)
        groups = {number: self.index.group(like) for number, like in {id(one): one for one in arrivals.likes}.items()}
        came = [one for one in dict.fromkeys(groups.values()) if not one.total]
        shown = arrivals.shown.get
        # one list after the other: where several grow at once, the memory between them is not given back
        entities = [
            new_entity(name, shown(name, ""), groups[id(like)])
            for name, like in zip(arrivals.names, arrivals.likes, strict=True)
        ]
        self.entities.update(zip(arrivals.names, entities, strict=True))
        made: dict[Group, list[Entity]] = {group: [] for group in groups.values()}
        for entity in entities:
            made[entity.group].append(entity)
        for group, members in made.items():
            group.fill(members)
        self.index.service += 1
        for watcher in self.watchers:
            for entity in entities:
                watcher.added(entity)
        return entities, came

    def _refuse_any_taken(self, names: list[str]) -> None:
        if not self.entities.keys().isdisjoint(names):
            self._refuse_taken(next(one for one in names if one in self.entities))
        if len(set(names)) < len(names):
            seen: set[str] = set()
            twice = next(one for one in names if one in seen or seen.add(one))  # type: ignore[func-returns-value]
            raise InvalidRequestError(f"The resource {twice!r} is there twice.", "Give one of them another id.")

    def remove(self, entity: Entity) -> None:
        """Forget an entity.

        Raises:
            ResourceUnavailableError: A task holds it.
        """
        if entity.holders:
            tasks = ", ".join([repr(one.task_id) for one in entity.holders])
            raise ResourceUnavailableError(
                f"The resource {entity.id!r} cannot be removed: it is held by {tasks}.",
                "Drain it, and remove it when the task has released it.",
            )
        self.set_service(entity, REMOVED)
        del self.entities[entity.id]
        for watcher in self.watchers:
            watcher.removed(entity)

    def find(self, name: str) -> Entity:
        """Return the entity of that id.

        Raises:
            InvalidRequestError: There is none.
        """
        found = self.entities.get(name)
        if found is None:
            known = list(islice(self.entities, _SEARCHED))
            raise InvalidRequestError(
                f"The pool has no resource {name!r:.80}.", did_you_mean(str(name), known) or "Add it first."
            )
        return found

    def set_service(self, entity: Entity, service: int) -> None:
        """Change what may become of an entity, and count it accordingly."""
        status, before = entity.status, entity.service
        entity.group.set_service(entity, service)
        self.index.service += 1
        if service in (DRAINING, FAULTY):
            self.out_of_service[entity] = None
        else:
            self.out_of_service.pop(entity, None)
        self._count(status, -1)
        if service == REMOVED:
            return
        self._count(entity.status, 1)
        for watcher in self.watchers:
            watcher.serviced(entity, before)

    def drain(self, entities: Sequence[Entity]) -> None:
        """Drain entities that are in service, all of them even where that is interrupted."""
        self.intent = Intent(entities, DRAINING)
        for one in entities:
            self.set_service(one, DRAINING)
        self.intent = None

    def lend(self, task_id: str, plan: Plan, ttl: float | None = None) -> Lease:
        """Give a task what a plan says, for a time that somebody else begins."""
        lease = Lease(self._pool, task_id, self.epoch(), time.time(), ())
        lease.ttl = ttl
        lease.entities = tuple(self._take(plan, lease))
        self.leases[task_id] = lease
        if self.watchers:
            self.tell_lent(lease, lease.entities)
        return lease

    def look(self) -> int:
        """Return a number that is greater than that of any lease, and that none will have."""
        number = self.epoch()
        self._looks += 1
        return number

    def granted(self) -> int:
        """Return how many leases were given, which nobody counts: each took a number, and so did each look."""
        return self.look() - self._looks - self._before

    def restart(self, first: int) -> None:
        """Number leases from here on; those that are restored count as given, those of former lives do not."""
        self.epoch = itertools.count(first).__next__
        self._before = first - 1 - self._looks

    def refuse(self, task_id: str, tier: Tier) -> None:
        """Take note that a task was sent away at once."""
        self.tally.refused[tier] += 1
        for watcher in self.watchers:
            watcher.refused(task_id, tier)

    def tell_lent(self, lease: Lease, entities: Sequence[Entity]) -> None:
        """Tell all who watch that a task was given entities."""
        for watcher in self.watchers:
            watcher.lent(lease, entities)

    def tell_returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str] = ()
    ) -> None:
        """Tell all who watch that a task gave back entities."""
        for watcher in self.watchers:
            watcher.returned(lease, entities, reason, faulty)

    def restore(self, lease: Lease, entities: Sequence[Entity]) -> None:
        """Let a lease of a former life of the pool hold entities that have room, before anybody watches."""
        self.leases[lease.task_id] = lease
        self._before -= 1
        lease.entities = tuple(entities)
        for entity in entities:
            entity.group.bag.discard(entity)
            self._hold(entity, lease)

    def extend(self, lease: Lease, plan: Plan) -> tuple[Entity, ...]:
        """Give a lease more, as a plan says, and return what."""
        more = tuple(self._take(plan, lease))
        lease.entities += more
        self.tell_lent(lease, more)
        return more

    def shrink(self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason) -> None:
        """Take back some of what a lease was given more."""
        lease.entities = tuple([one for one in lease.entities if one not in entities])
        self._give_back(lease, entities)
        self.tell_returned(lease, entities, reason)

    def _take(self, plan: Plan, lease: Lease) -> list[Entity]:
        chosen: list[Entity] = []
        for entity in plan.named:
            chosen.append(entity)
            entity.group.bag.discard(entity)
            self._hold(entity, lease)
        choosy = bool(plan.excluded or plan.prefer) or lease.usage is not _DEPLOYED
        for group, units in plan.takes.items():
            if choosy or group.capacity != 1:
                chosen += self._pick(group, units, plan, lease)
                continue
            pop = group.bag.pop
            for _ in range(units):
                entity = pop()
                entity.holders = (lease,)
                chosen.append(entity)
            group.count(-units)
        return chosen

    def _pick(self, group: Group, units: int, plan: Plan, lease: Lease) -> list[Entity]:
        """Take so many different entities of a group, preferred ones first, none that is excluded."""
        found = [one for one in plan.prefer if one.group is group and one.has_room and one not in plan.excluded][:units]
        for one in found:
            group.bag.discard(one)
        passed: list[Entity] = []
        while len(found) < units:
            entity = group.bag.pop()
            (passed if entity in plan.excluded else found).append(entity)
        for one in passed:
            group.bag.push(one)
        for one in found:
            self._hold(one, lease)
        return found

    def _hold(self, entity: Entity, lease: Lease) -> None:
        before = entity.status
        entity.group.hold(entity, lease)
        self._recount(before, entity)

    def take_back(
        self, lease: Lease, reason: ReleaseReason = ReleaseReason.COMPLETED, faulty: Collection[str] = ()
    ) -> None:
        """End a lease; the entities named go out of service until somebody repairs them."""
        broken = [self.entities[name] for name in faulty]
        if reason is not _COMPLETED:
            self.intent = Intent(broken, FAULTY, lease, reason, self.tally.ended[reason] + 1)
            self.tally.ended[reason] += 1
        elif broken:
            self.intent = Intent(broken, FAULTY, lease)
        del self.leases[lease.task_id]
        self._give_back(lease, lease.entities)
        self.tell_returned(lease, lease.entities, reason, faulty)
        for entity in broken:
            if entity.service != FAULTY:
                self.set_service(entity, FAULTY)
        self.intent = None

    def _give_back(self, lease: Lease, entities: Sequence[Entity]) -> None:
        plain = lease.usage is _DEPLOYED
        for entity in entities:
            group = entity.group
            if plain and group.capacity == 1 and not entity.service:  # then no count of a status is concerned
                entity.holders = ()
                group.bag.push(entity)
                if not group.room:
                    group.kind.version += 1
                group.room += 1
                continue
            before = entity.status
            group.give_back(entity, lease)
            self._recount(before, entity)

    def mark(self, lease: Lease, usage: ResourceStatus) -> None:
        """Say what a task does with what it holds."""
        before = [one.status for one in lease.entities]
        lease.usage = usage
        for status, entity in zip(before, lease.entities, strict=True):
            self._recount(status, entity)
        if usage is ResourceStatus.BLOCKED:
            self.tally.stirred()
        for watcher in self.watchers:
            watcher.marked(lease)

    def _recount(self, before: ResourceStatus, entity: Entity) -> None:
        after = entity.status
        if after is not before:
            self.counts[before] -= 1
            self.counts[after] += 1

    def _count(self, status: ResourceStatus, change: int) -> None:
        self.counts[status] += change

    def report(self, waiting: int) -> StatusReport:
        """Return how many entities have which status."""
        counts = self.counts
        total = len(self.entities)
        available = sum([one.idle for one in self.index.groups])
        busy, blocked = counts[ResourceStatus.BUSY], counts[ResourceStatus.BLOCKED]
        error, released = counts[ResourceStatus.ERROR], counts[ResourceStatus.RELEASED]
        deployed = total - available - busy - blocked - error - released
        return StatusReport(total, available, deployed, busy, blocked, error, released, waiting)

    def instance(self, entity: Entity) -> ResourceInstance:
        """Return the record of an entity."""
        shape = entity.group.shape
        return ResourceInstance(
            id=entity.id,
            type=shape.type,
            name=entity.name or entity.id,
            capabilities=tuple([Capability(name, level) for name, level in shape.capabilities.items()]),
            labels=dict(shape.labels),
            capacity=entity.group.capacity,
            status=entity.status,
            tasks=tuple([one.task_id for one in entity.holders]),
            draining=entity.service == DRAINING,
        )

    def catalog(self) -> Iterator[CatalogEntry]:
        """Yield each capability of each type, also those of predefined types that no entity has."""
        words = {(kind, name) for kind, names in TYPICAL.items() for name in names}
        for name, masks in self.index.levels.items():
            words |= {(self.index.groups[one].shape.type, name) for one in bits(masks[1])}
        for kind, name in sorted(words):
            masks = self.index.levels.get(name, [0, 0])
            groups = [self.index.groups[one] for one in bits(masks[1] & self.index.types.get(kind, 0))]
            groups = [one for one in groups if one.total]
            typical = name in TYPICAL.get(kind, ())
            if groups or typical:
                levels = [one.shape.capabilities[name] for one in groups] or [0]
                total, free = sum([one.total for one in groups]), sum([one.room for one in groups])
                yield CatalogEntry(kind, name, total, free, min(levels), max(levels), typical)


__all__ = ["DRAINING", "FAULTY", "IN_SERVICE", "Stock"]
