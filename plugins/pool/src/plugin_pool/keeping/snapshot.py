"""`Snapshot`: all of a pool at one moment, copied quickly under its lock and written down at leisure."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Collection, Iterator, Mapping

from plugin_pool.entity import Entity
from plugin_pool.group import Group
from plugin_pool.keeping.framing import record
from plugin_pool.keeping.session import Session
from plugin_pool.keeping.state import SECOND, VERSION
from plugin_pool.stock import Stock

_IDS = 1000  # entities of one record


def ends_at(expires: float | None, clock: float, now: float) -> int | None:
    """Return the time of the pool, in microseconds, for a time by its clock; None for never."""
    if expires is None or not math.isfinite(expires):
        return None
    return int((now + expires - clock) * SECOND)


class Snapshot:
    """A copy of what there is. The pool's lock must be held while it is made, and is not needed afterwards.

    Args:
        stock: What there is; what never changes of it is not copied.
        clock: What the pool's clock says.
        session: Who keeps the pool.
        inherited: The processes that leases belong to, by epoch, other than this one.
        configured: The entities that came from a configuration.
        graced: The epochs of leases whose time to live is not their own.
    """

    def __init__(
        self,
        stock: Stock,
        clock: float,
        session: Session,
        inherited: Mapping[int, Session],
        configured: Collection[str],
        graced: Collection[int],
    ) -> None:
        now = session.now()
        self.epoch = stock.look()
        self.session = session
        self._entities = list(stock.entities.values())
        self._services = [(one.id, one.service) for one in stock.out_of_service]
        self._leases = [
            (one, one.entities, one.usage._value_, None, None)
            if one.epoch in graced
            else (one, one.entities, one.usage._value_, finite(one.ttl), ends_at(one.expires, clock, now))
            for one in stock.leases.values()
        ]
        self._inherited = dict(inherited)
        self._configured = sorted(configured)

    def write(self, path: str, generation: int) -> int:
        """Write it to a file, which has its name only once all of it is on the disk; return the bytes.

        Raises:
            OSError: It cannot be written; nothing is left of it then.
        """
        hidden = f"{path}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with open(os.open(hidden, flags, 0o600), "wb", buffering=1 << 18) as file:
                count = 0
                for one in self._records(generation):
                    file.write(one)
                    count += 1
                file.write(record("complete", count))
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            os.rename(hidden, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            raise
        return size

    def _records(self, generation: int) -> Iterator[bytes]:
        owners = [self.session, *dict.fromkeys(self._inherited.values())]
        places = {one: place for place, one in enumerate(owners)}
        told = [one.as_json() for one in owners]
        yield record("snapshot", VERSION, generation, self.epoch, told[0], told, self._configured)
        for group, entities in sorted(self._grouped().items(), key=lambda one: one[0].number):
            yield class_record(group)
            for first in range(0, len(entities), _IDS):
                part = entities[first : first + _IDS]
                names = {one.id: one.name for one in part if one.name}
                yield record("entities", group.number, [one.id for one in part], names)
        for each in self._services:
            yield record("serviced", *each)
        for lease, held, usage, ttl, ends in self._leases:
            owner = places[self._inherited.get(lease.epoch, self.session)]
            since, ids = int(lease.since * SECOND), [one.id for one in held]
            yield record("lease", lease.epoch, lease.task_id, since, ids, usage, ttl, ends, owner)

    def _grouped(self) -> dict[Group, list[Entity]]:
        found: dict[Group, list[Entity]] = {}
        for one in self._entities:
            try:
                found[one.group].append(one)
            except KeyError:
                found[one.group] = [one]
        return found


def class_record(group: Group) -> bytes:
    """Return the record that gives a class its number."""
    shape = group.shape
    return record("class", group.number, shape.type, dict(shape.capabilities), dict(shape.labels), group.capacity)


def finite(ttl: float | None) -> float | None:
    """Return a time to live as it is written: one without end is none."""
    return None if ttl is None or not math.isfinite(ttl) else ttl
