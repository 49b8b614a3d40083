"""`State`: what the records of a kept pool amount to; snapshots and journals consist of the same kinds of records.

Version 1. Times are in microseconds: `since` of the epoch, `ends` of the pool (see `Session`); null is never.

    ["journal", 1, GENERATION, FRESH]          begins a journal; a FRESH one is good only with its snapshot
    ["snapshot", 1, GENERATION, EPOCH, SESSION, [OWNER, …], [ENTITY, …]]
                                               begins a snapshot: the least epoch that is free, the processes that its
                                               leases belong to, the entities that came from a configuration
    ["complete", RECORDS]                      ends a snapshot; so many records precede it
    ["session", SESSION, EPOCH, DURABILITY]    a process opened the pool, and gives out epochs from that one on
    ["closed", EPOCH]                          it closed the pool
    ["class", NUMBER, TYPE, CAPABILITIES, LABELS, CAPACITY]   a number for a class, good in this file
    ["added", NUMBER, ENTITY] or with a NAME   an entity of a class
    ["entities", NUMBER, [ENTITY, …], {ENTITY: NAME, …}]      many of them
    ["removed", ENTITY]
    ["serviced", ENTITY, SERVICE]              0 in service, 1 draining, 2 faulty
    ["configured", [ENTITY, …]]                the entities that come from a configuration
    ["lent", EPOCH, TASK, SINCE, [ENTITY, …]]  a lease, or more for one
    ["marked", EPOCH, USAGE]
    ["limited", EPOCH, SECONDS, ENDS]
    ["returned", EPOCH] or with REASON, [FAULTY, …]           the end of a lease; by itself as completed
    ["shrunk", EPOCH, [ENTITY, …]]             some of a lease given back
    ["lease", EPOCH, TASK, SINCE, [ENTITY, …], USAGE, SECONDS, ENDS, OWNER]   all of a lease; OWNER is a place in a list

What is said of a lease that nobody was given is passed over: Ctrl-C can come between a change and its record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from plugin_pool.keeping.session import Session

VERSION: Final = 1
SECOND: Final = 1_000_000
USAGES: Final = ("deployed", "busy", "blocked")


class ContradictionError(ValueError):
    """A record that does not agree with those before it."""


class StoredClass:
    """A class of entities, and which there are."""

    __slots__ = ("capabilities", "capacity", "labels", "members", "type")

    def __init__(self, kind: str, capabilities: dict[str, int], labels: dict[str, str], capacity: int) -> None:
        self.type = kind
        self.capabilities = capabilities
        self.labels = labels
        self.capacity = capacity
        self.members: dict[str, None] = {}


class StoredLease:
    """What one task held; `ends` is in seconds of the time of the pool."""

    __slots__ = ("ends", "epoch", "ids", "owner", "since", "task_id", "ttl", "usage")

    def __init__(self, epoch: int, task_id: str, since: float, ids: list[str], owner: Session | None) -> None:
        self.epoch = epoch
        self.task_id = task_id
        self.since = since
        self.ids = ids
        self.owner = owner
        self.usage = "deployed"
        self.ttl: float | None = None
        self.ends: float | None = None


class State:
    """Entities and leases, by records one after the other.

    Attributes:
        epoch: The least number that no lease had.
        session: The process that kept the pool last.
        closed: True when it closed it.
        durability: What it kept the pool with.
    """

    def __init__(self) -> None:
        self.classes: dict[object, StoredClass] = {}
        self.where: dict[str, StoredClass] = {}
        self.names: dict[str, str] = {}
        self.services: dict[str, int] = {}
        self.configured: set[str] = set()
        self.leases: dict[int, StoredLease] = {}
        self.epoch = 1
        self.session: Session | None = None
        self.closed = True
        self.durability = ""
        self._tasks: dict[str, int] = {}
        self._loads: dict[str, int] = {}
        self._owners: list[Session] = []
        self._numbers: dict[int, StoredClass] = {}
        self._apply: Mapping[str, Callable[..., None]] = {
            name.removeprefix("_on_"): getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }

    def apply(self, record: list[Any]) -> None:
        """Take a record into account.

        Raises:
            ContradictionError: It does not agree with those before it, or is of no kind that there is; nothing of it
                was taken into account.
        """
        try:
            self._apply[record[0]](*record[1:])
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ContradictionError(f"the record {str(record)[:80]} makes no sense ({error!r})") from error

    def _on_journal(self, version: int, generation: int, fresh: bool) -> None:
        self._numbers.clear()

    def _on_snapshot(
        self,
        version: int,
        generation: int,
        epoch: int,
        session: dict[str, Any],
        owners: list[dict[str, Any]],
        configured: list[str],
    ) -> None:
        self.session = Session.of(session)
        self._owners = [Session.of(one) for one in owners]
        self.epoch = epoch
        self.configured = set(configured)
        self._numbers.clear()

    def _on_complete(self, records: int) -> None:
        """Nothing; the reader has counted."""

    def _on_session(self, session: dict[str, Any], epoch: int, durability: str) -> None:
        self.session = Session.of(session)
        self.durability = durability
        self.epoch = max(self.epoch, epoch)
        self.closed = False
        self._numbers.clear()

    def _on_closed(self, epoch: int) -> None:
        self.epoch = max(self.epoch, epoch)
        self.closed = True

    def _on_class(
        self, number: int, kind: str, capabilities: dict[str, int], labels: dict[str, str], capacity: int
    ) -> None:
        key = kind, tuple(capabilities.items()), tuple(labels.items()), capacity
        found = self.classes.get(key)
        if found is None:
            found = self.classes[key] = StoredClass(kind, capabilities, labels, capacity)
        self._numbers[number] = found

    def _on_added(self, number: int, name: str, shown: str = "") -> None:
        self._on_entities(number, [name], {name: shown} if shown else {})

    def _on_entities(self, number: int, ids: list[str], names: dict[str, str]) -> None:
        found = self._numbers[number]
        new = dict.fromkeys(ids)
        if len(new) < len(ids) or not self.where.keys().isdisjoint(new):
            twice = next((one for one in ids if one in self.where), ids[0])
            raise ContradictionError(f"the entity {twice!r} is added twice")
        self.where.update(dict.fromkeys(ids, found))
        found.members.update(new)
        self.names.update(names)

    def _on_removed(self, name: str) -> None:
        if self._loads.get(name):
            raise ContradictionError(f"the entity {name!r} is removed, though a task holds it")
        del self.where[name].members[name]
        del self.where[name]
        self.names.pop(name, None)
        self.services.pop(name, None)

    def _on_serviced(self, name: str, service: int) -> None:
        if name not in self.where or service not in (0, 1, 2):
            raise ContradictionError(f"the entity {name!r} gets the state of service {service!r}")
        self.services[name] = service

    def _on_configured(self, ids: list[str]) -> None:
        self.configured = set(ids)

    def _on_lent(self, epoch: int, task_id: str, since: int, ids: list[str]) -> None:
        lease = self.leases.get(epoch)
        known = self._tasks.get(task_id, epoch)
        if known != epoch or (lease is not None and lease.task_id != task_id):
            raise ContradictionError(f"the task {task_id!r} is given a second lease")
        self._hold(task_id, ids)
        if lease is not None:
            lease.ids = lease.ids + ids
            return
        self.leases[epoch] = StoredLease(epoch, task_id, since / SECOND, ids, self.session)
        self._tasks[task_id] = epoch
        if epoch >= self.epoch:
            self.epoch = epoch + 1

    def _hold(self, task_id: str, ids: list[str]) -> None:
        where, loads = self.where, self._loads
        for one in ids:
            if one not in where or loads.get(one, 0) >= where[one].capacity:
                taken = "no task can have any more" if one in where else "there is not"
                raise ContradictionError(f"the task {task_id!r} is given the entity {one!r}, which {taken}")
        for one in ids:
            loads[one] = loads.get(one, 0) + 1

    def _on_lease(
        self,
        epoch: int,
        task_id: str,
        since: int,
        ids: list[str],
        usage: str,
        ttl: float | None,
        ends: int | None,
        owner: int,
    ) -> None:
        session = self._owners[owner]
        if usage not in USAGES:
            raise ContradictionError(f"the usage {usage!r} is none")
        self._on_lent(epoch, task_id, since, ids)
        lease = self.leases[epoch]
        lease.owner = session
        lease.usage, lease.ttl = usage, ttl
        lease.ends = None if ends is None else ends / SECOND

    def _on_marked(self, epoch: int, usage: str) -> None:
        if usage not in USAGES:
            raise ContradictionError(f"the usage {usage!r} is none")
        if epoch in self.leases:
            self.leases[epoch].usage = usage

    def _on_limited(self, epoch: int, ttl: float | None, ends: int | None) -> None:
        if (lease := self.leases.get(epoch)) is None:
            return
        lease.ttl, lease.ends = ttl, None if ends is None else ends / SECOND

    def _on_returned(self, epoch: int, reason: str = "completed", faulty: list[str] | None = None) -> None:
        lease = self.leases.pop(epoch, None)
        if lease is None:
            return
        del self._tasks[lease.task_id]
        self._free(lease.ids)
        for one in faulty or ():
            self.services[one] = 2

    def _on_shrunk(self, epoch: int, ids: list[str]) -> None:
        if (lease := self.leases.get(epoch)) is None:
            return
        lease.ids = [one for one in lease.ids if one not in ids]
        self._free(ids)

    def _free(self, ids: list[str]) -> None:
        for one in ids:
            left = self._loads[one] - 1
            if left:
                self._loads[one] = left
            else:
                del self._loads[one]

    def end_lease_of(self, names: list[str]) -> list[str]:
        """End the leases of entities that others were given later, and return their tasks; for what is salvaged."""
        ended = [one for one in self.leases.values() if not set(names).isdisjoint(one.ids)]
        for lease in ended:
            self._on_returned(lease.epoch, "lost")
        return [one.task_id for one in ended]
