"""`Recorder`: makes a record of every change of a pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from zlib import crc32

from plugin_pool.entity import Entity
from plugin_pool.keeping.framing import framed, quoted, record
from plugin_pool.keeping.session import Session
from plugin_pool.keeping.snapshot import class_record, ends_at, finite
from plugin_pool.keeping.state import SECOND
from plugin_pool.lease import Lease
from plugin_pool.records import ReleaseReason
from plugin_pool.stock import Stock
from plugin_pool.watcher import Watcher

_COMPLETED = ReleaseReason.COMPLETED


class Recorder(Watcher, ABC):
    """Makes the records that `State` understands. What happens most often is put together by hand, for speed.

    Args:
        stock: What there is.
        clock: The pool's clock.
        session: This process.

    Attributes:
        inherited: The processes that leases belong to, by epoch, other than this one.
        configured: The entities that came from a configuration.
        graced: Leases whose time to live is not their own, but the grace that nobody knows them; it is not recorded.
    """

    def __init__(self, stock: Stock, clock: Callable[[], float], session: Session) -> None:
        self._stock = stock
        self._clock = clock
        self._session = session
        self._told: set[int] = set()
        """The classes that the journal knows by their numbers."""
        self._write: Callable[[bytes], object] = self._put
        """Writes where that is possible at once; raises ValueError where it is not."""
        self.inherited: dict[int, Session] = {}
        self.configured: set[str] = set()
        self.graced: dict[int, Lease] = {}

    @abstractmethod
    def _put(self, raw: bytes) -> None:
        """Write a record."""

    def added(self, entity: Entity) -> None:
        """An entity is new."""
        group = entity.group
        if group.number not in self._told:
            self._put(class_record(group))
            self._told.add(group.number)
        name = f",{quoted(entity.name)}" if entity.name else ""
        self._put(framed(f'["added",{group.number},{quoted(entity.id)}{name}]'))

    def removed(self, entity: Entity) -> None:
        """An entity is gone."""
        self._put(record("removed", entity.id))

    def serviced(self, entity: Entity, before: int) -> None:
        """What may become of an entity has changed."""
        self._put(record("serviced", entity.id, entity.service))

    def lent(self, lease: Lease, entities: Sequence[Entity]) -> None:
        """A task was given entities."""
        names = quoted(entities[0].id) if len(entities) == 1 else ",".join([quoted(one.id) for one in entities])
        since = int(lease.since * SECOND)
        raw = f'["lent",{lease.epoch},{quoted(lease.task_id)},{since},[{names}]]'.encode()
        raw = b"%d %b\n" % (crc32(raw), raw)
        try:
            self._write(raw)
        except ValueError:
            self._put(raw)

    def returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str]
    ) -> None:
        """A task gave entities back."""
        if reason is _COMPLETED and not faulty:
            raw = b'["returned",%d]' % lease.epoch
            raw = b"%d %b\n" % (crc32(raw), raw)
            try:
                self._write(raw)
            except ValueError:
                self._put(raw)
        elif self._stock.leases.get(lease.task_id) is lease:
            self._put(record("shrunk", lease.epoch, [one.id for one in entities]))
        else:
            self._put(record("returned", lease.epoch, reason, *([list(faulty)] if faulty else [])))
        if self.inherited and self._stock.leases.get(lease.task_id) is not lease:
            self.inherited.pop(lease.epoch, None)
            self.graced.pop(lease.epoch, None)

    def marked(self, lease: Lease) -> None:
        """A task does something else with what it holds."""
        self._put(record("marked", lease.epoch, lease.usage._value_))

    def limited(self, lease: Lease) -> None:
        """A lease ends at another time."""
        self.graced.pop(lease.epoch, None)
        ends = ends_at(lease.expires, self._clock(), self._session.now())
        self._put(record("limited", lease.epoch, finite(lease.ttl), ends))

    def configure(self, ids: set[str]) -> None:
        """Note which entities come from the configuration."""
        if ids != self.configured:
            self.configured = ids
            self._put(record("configured", sorted(ids)))
