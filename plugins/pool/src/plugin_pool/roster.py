"""`Roster`: the entities of a pool as people see and change them."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping

from framework import get_logger
from framework.errors import InvalidRequestError
from plugin_pool import reading
from plugin_pool.arrivals import Arrivals
from plugin_pool.change import Change
from plugin_pool.entity import DRAINING, FAULTY, IN_SERVICE
from plugin_pool.garbage import no_collections
from plugin_pool.line import Line
from plugin_pool.records import CatalogEntry, ResourceInstance, StatusReport
from plugin_pool.stock import Stock


class Roster:
    """The entities of a pool, looked at and changed. Thread-safe."""

    _lock: threading.Lock
    _change: Change
    _stock: Stock
    _line: Line

    def add_resource(self, resource: object) -> ResourceInstance:
        """Add an entity, and return its record.

        A type or capability that is new, but much like a known one, is taken as it is, with a warning in the log.

        Raises:
            InvalidRequestError: A field is unknown, missing or wrong, or the id is taken.
        """
        given = reading.entity(resource)
        with self._lock, self._change:
            words = self._stock.index.unknown(given.type, _types(given))
            entity = self._stock.add(given)
            if entity.group.total == 1:
                self._line.came(entity.group)
            record = given
            if self._line.waiters:
                self._line.serve([entity])
                record = self._stock.instance(entity)
        _warn(given.id, words)
        return record

    def add_resources(self, resources: Iterable[object]) -> int:
        """Add many entities, all or none, and return how many; several times quicker than one after the other.

        Raises:
            InvalidRequestError: A field of one of them is unknown, missing or wrong, or an id is taken or there twice.
        """
        if isinstance(resources, str | Mapping) or not isinstance(resources, Iterable):
            raise InvalidRequestError(
                f"The resources are {resources!r:.60}; a list of descriptions is allowed.",
                "Use add_resource() for a single one.",
            )
        with no_collections():
            arrivals = Arrivals(resources)
            likes = {id(one): one for one in arrivals.likes}
            with self._lock, self._change:
                hints = {one.id: self._stock.index.unknown(one.type, _types(one)) for one in likes.values()}
                added, came = self._stock.add_all(arrivals)
                for group in came:
                    self._line.came(group)
                if self._line.waiters:
                    self._line.serve(added)
        for name, words in hints.items():
            _warn(name, words)
        return len(arrivals.names)

    def remove_resource(self, resource_id: str) -> ResourceInstance:
        """Remove an entity that no task holds, and return its last record.

        Raises:
            InvalidRequestError: There is none of that id.
            ResourceUnavailableError: A task holds it.
        """
        with self._lock, self._change:
            entity = self._stock.find(resource_id)
            record = self._stock.instance(entity)
            self._stock.remove(entity)
            self._line.recheck([entity])
        return record

    def get_resource(self, resource_id: str) -> ResourceInstance:
        """Return the record of an entity.

        Raises:
            InvalidRequestError: There is none of that id.
        """
        with self._lock, self._change:
            return self._stock.instance(self._stock.find(resource_id))

    def get_resources(self) -> tuple[ResourceInstance, ...]:
        """Return the records of all entities, as they are at one moment, in the order in which they were added."""
        with self._lock, self._change:
            return tuple([self._stock.instance(one) for one in self._stock.entities.values()])

    def repair_resource(self, resource_id: str) -> bool:
        """Put an entity back into service, after an error or after it was drained; False when it is in service.

        Raises:
            InvalidRequestError: There is none of that id.
        """
        return self._serve(resource_id, IN_SERVICE)

    def quarantine_resource(self, resource_id: str) -> bool:
        """Put an entity in error, as after a failed health check; a task that holds it keeps it.

        Raises:
            InvalidRequestError: There is none of that id.
        """
        return self._serve(resource_id, FAULTY)

    def drain(self, resource_id: str | None = None) -> int:
        """Give an entity, or all of them, to nobody any more; a task that holds it keeps it.

        Once nobody holds it, it is `released`: remove it, or repair it to put it back into service.

        Returns:
            How many are drained by this.

        Raises:
            InvalidRequestError: There is none of that id.
        """
        if resource_id is not None:
            return int(self._serve(resource_id, DRAINING))
        with self._lock, self._change:
            found = [one for one in self._stock.entities.values() if one.service == IN_SERVICE]
            self._stock.drain(found)
            self._line.recheck(found)
        return len(found)

    def _serve(self, resource_id: str, service: int) -> bool:
        with self._lock, self._change:
            entity = self._stock.find(resource_id)
            changed = entity.service != service and not (service == DRAINING and entity.service == FAULTY)
            if changed:
                self._stock.set_service(entity, service)
                (self._line.serve if service == IN_SERVICE else self._line.recheck)([entity])
        return changed

    def report_load(self, resource_id: str, **scores: float) -> None:
        """Tell the strategy what was measured of an entity, for instance `cpu=0.7, memory=0.2`, from 0 to 1.

        Raises:
            InvalidRequestError: There is none of that id, or a score is no finite number.
        """
        given: dict[str, object] = {**scores}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InvalidRequestError(
                    f"The score {name!r} of {resource_id!r:.80} is {value!r:.60}; a finite number is allowed.",
                    "Report what was measured, as cpu=0.7.",
                )
        with self._lock, self._change:
            self._stock.score(self._stock.find(resource_id), scores)

    def get_status_report(self) -> StatusReport:
        """Return how many entities there are in all, and with each status."""
        with self._lock, self._change:
            return self._stock.report(len(self._line.waiters))

    def get_capability_catalog(self) -> tuple[CatalogEntry, ...]:
        """Return what the pool can do: each capability of each type, those typical of predefined types included."""
        with self._lock, self._change:
            return tuple(self._stock.catalog())


def _types(given: ResourceInstance) -> list[str]:
    return [one.type for one in given.capabilities]


def _warn(resource: str, words: list[tuple[str, str]]) -> None:
    for word, known in words:
        get_logger().warning("pool_word_unknown", resource=resource, word=word, nearest=known)
