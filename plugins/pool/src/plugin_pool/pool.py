"""`ResourcePool`: gives entities with levelled capabilities to tasks, all that a task needs or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable

from framework import AllocationStrategy, ResourceStatus, get_logger
from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool import reading, words
from plugin_pool.entity import DRAINING, FAULTY, IN_SERVICE, Entity
from plugin_pool.index import Index
from plugin_pool.instances import Instances
from plugin_pool.lease import Lease
from plugin_pool.planner import Plan
from plugin_pool.records import (
    AllocationResult,
    AllocationStatus,
    BlockedReason,
    CatalogEntry,
    CheckResult,
    ReleaseReason,
    ResourceInstance,
    StatusReport,
    TaskResourceAllocation,
    Tier,
)
from plugin_pool.request import Request
from plugin_pool.stock import Stock
from plugin_pool.strategies import BUILT_IN
from plugin_pool.vocabulary import LONGEST_NAME

Chooser = str | AllocationStrategy | Callable[[], AllocationStrategy]
"""A strategy, the name of a built-in one, or what returns one when it is first needed."""

_GIVEN = True

ERROR_AFTER = (ReleaseReason.FAILED, ReleaseReason.EXPIRED)

_STATUS = {
    ResourceStatus.DEPLOYED: (AllocationStatus.ALLOCATED, None),
    ResourceStatus.BUSY: (AllocationStatus.EXECUTING, None),
    ResourceStatus.BLOCKED: (AllocationStatus.BLOCKED, BlockedReason.DEPENDENCY_NOT_READY),
}


class ResourcePool:
    """Entities with capabilities, given to tasks and taken back. Thread-safe; needs no host.

    Requirements are records, objects with the same attributes, plain mappings, or a `Request` from `prepare`.

    Args:
        strategy: `first_fit`, `best_fit`, or a strategy: which of several classes that fit is taken from.
        error_after: Reasons of release after which entities are in error until somebody repairs them, unless the
            release says which of them are faulty.
        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        *,
        strategy: Chooser = "best_fit",
        error_after: Collection[ReleaseReason | str] = ERROR_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._index = Index(_chosen(strategy))
        self._stock = Stock(self, self._index)
        self._error_after = frozenset([_reason(one) for one in error_after])
        self._clock = clock

    def add_resource(self, resource: object) -> ResourceInstance:
        """Add an entity, and return its record.

        A type or capability that is new, but much like a known one, is taken as it is, with a warning in the log.

        Raises:
            InvalidRequestError: A field is unknown, missing or wrong, or the id is taken.
        """
        given = reading.entity(resource)
        with self._lock:
            hints = self._index.unknown(given.type, [one.type for one in given.capabilities])
            entity = self._stock.add(given)
            record = self._stock.instance(entity)
        for word, known in hints:
            get_logger().warning("pool_word_unknown", resource=given.id, word=word, nearest=known)
        return record

    def remove_resource(self, resource_id: str) -> ResourceInstance:
        """Remove an entity that no task holds, and return its last record.

        Raises:
            InvalidRequestError: There is none of that id.
            ResourceUnavailableError: A task holds it.
        """
        with self._lock:
            entity = self._stock.find(resource_id)
            record = self._stock.instance(entity)
            self._stock.remove(entity)
        return record

    def get_resource(self, resource_id: str) -> ResourceInstance:
        """Return the record of an entity.

        Raises:
            InvalidRequestError: There is none of that id.
        """
        with self._lock:
            return self._stock.instance(self._stock.find(resource_id))

    def prepare(self, requirements: object) -> Request:
        """Return requirements in a form that is read once and can be asked for many times.

        Raises:
            InvalidRequestError: They are wrong, or there are none.
        """
        if type(requirements) is Request:
            if requirements.index is not self._index:
                raise InvalidRequestError("The request was prepared by another pool.", "Prepare it with this one.")
            return requirements
        read = reading.requirements(requirements)
        with self._lock:
            return Request(self._index, read)

    def check_resource_requirements(self, requirements: object) -> CheckResult:
        """Return whether a request could be met now, and what is lacking otherwise. It changes nothing.

        Raises:
            InvalidRequestError: The requirements are wrong.
        """
        request = self.prepare(requirements)
        with self._lock:
            plan = self._plan(request)
            tier = Tier.FREE if plan.satisfied else self._tier(request)
            found = Instances(tuple(plan.entities()), self._record)
        return CheckResult(plan.satisfied, tuple(plan.missing), found, tier)

    def allocate_resources(self, task_id: str, requirements: object) -> AllocationResult:
        """Give a task everything that it requires, or nothing; never waits.

        Raises:
            InvalidRequestError: The requirements are wrong, or the task holds something already.
        """
        request = self.prepare(requirements)
        with self._lock:
            lease = self._allocate(task_id, request)
            if isinstance(lease, Lease):
                return AllocationResult(_GIVEN, lease.resources, "", (), Tier.FREE, lease.epoch)
            tier = self._tier(request)
        return self._refused(request, lease, tier)

    def _refused(self, request: Request, plan: Plan, tier: Tier) -> AllocationResult:
        similar = [hint for line in request.lines for hint in self._index.similar(line.signature)]
        return AllocationResult(not _GIVEN, (), words.shortage(plan.missing, tier, similar), tuple(plan.missing), tier)

    def _allocate(self, task_id: str, request: Request) -> Lease | Plan:
        """Return a lease, or the plan that falls short."""
        stock, only = self._stock, request.only
        if type(task_id) is not str or not task_id or len(task_id) > LONGEST_NAME or not task_id.isprintable():
            reading.text(task_id, "The id of a task")
        if task_id in stock.leases:
            self._refuse_twice(stock.leases[task_id])
        if only is not None:
            if only.seen != len(self._index.groups):
                self._index.refresh(only)
            for group in only.groups:
                if group.room:
                    return stock.lend_one(task_id, group)
        plan = self._plan(request)
        return stock.lend(task_id, plan) if plan.satisfied else plan

    def _refuse_twice(self, lease: Lease) -> None:
        held = ", ".join(lease.resources[:10])
        raise InvalidRequestError(
            f"The task {lease.task_id!r} holds resources already: {held}.", "Release them, or use another task id."
        )

    def _plan(self, request: Request) -> Plan:
        return self._stock.planner.plan(request)

    def _tier(self, request: Request) -> Tier:
        return self._stock.planner.tier(request)

    def _record(self, entity: Entity) -> ResourceInstance:
        with self._lock:
            return self._stock.instance(entity)

    def mark_executing(self, task_id: str, *, epoch: int | None = None) -> bool:
        """Say that a task runs: what it holds is `busy`. False when it holds nothing."""
        return self._mark(task_id, ResourceStatus.BUSY, epoch)

    def mark_blocked(self, task_id: str, *, epoch: int | None = None) -> bool:
        """Say that a task waits for something that it depends on: what it holds is `blocked`."""
        return self._mark(task_id, ResourceStatus.BLOCKED, epoch)

    def _mark(self, task_id: str, usage: ResourceStatus, epoch: int | None) -> bool:
        with self._lock:
            lease = self._lease(task_id, epoch)
            if lease is not None:
                self._stock.mark(lease, usage)
        return lease is not None

    def _lease(self, task_id: str, epoch: int | None) -> Lease | None:
        lease = self._stock.leases.get(task_id)
        return lease if lease is None or epoch is None or lease.epoch == epoch else None

    def release_resources(
        self,
        task_id: str,
        reason: ReleaseReason | str = ReleaseReason.COMPLETED,
        *,
        faulty: object = None,
        epoch: int | None = None,
    ) -> bool:
        """Take back everything that a task holds; False when it holds nothing.

        Args:
            task_id: The task.
            reason: Why. After `failed` and `expired`, unless configured otherwise, the entities are in error.
            faulty: Ids of those entities that are at fault; only they are in error then, whatever the reason. With an
                empty list it was the task's own fault, and none is.
            epoch: Release only the allocation of that number, not a later one of the same task.

        Raises:
            InvalidRequestError: The reason is unknown, or something else is named than what the task holds.
        """
        why = reason if type(reason) is ReleaseReason else _reason(reason)
        with self._lock:
            lease = self._lease(task_id, epoch)
            if lease is None:
                return False
            self._release(lease, why, faulty)
        return True

    def _release(self, lease: Lease, reason: ReleaseReason, faulty: object = None) -> None:
        broken: Collection[str] = ()
        if faulty is not None:
            broken = _named(lease, faulty)
        elif reason in self._error_after:
            broken = lease.resources
        self._stock.take_back(lease, broken)

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
        with self._lock:
            found = [one for one in self._stock.entities.values() if one.service == IN_SERVICE]
            for one in found:
                self._stock.set_service(one, DRAINING)
        return len(found)

    def _serve(self, resource_id: str, service: int) -> bool:
        with self._lock:
            entity = self._stock.find(resource_id)
            changed = entity.service != service and not (service == DRAINING and entity.service == FAULTY)
            if changed:
                self._stock.set_service(entity, service)
        return changed

    def get_allocation(self, task_id: str) -> TaskResourceAllocation | None:
        """Return what a task holds; None where that is nothing."""
        with self._lock:
            lease = self._stock.leases.get(task_id)
            if lease is None:
                return None
            status, reason = _STATUS[lease.usage]
            left = None if lease.expires is None else max(lease.expires - self._clock(), 0.0)
            return TaskResourceAllocation(task_id, lease.resources, status, reason, lease.since, left, lease.epoch)

    def get_status_report(self) -> StatusReport:
        """Return how many entities there are in all, and with each status."""
        with self._lock:
            return self._stock.report(0)

    def get_capability_catalog(self) -> tuple[CatalogEntry, ...]:
        """Return what the pool can do: each capability of each type, those typical of predefined types included."""
        with self._lock:
            return tuple(self._stock.catalog())


def _chosen(strategy: Chooser) -> Callable[[], AllocationStrategy]:
    if isinstance(strategy, str):
        if strategy not in BUILT_IN:
            raise InvalidRequestError(
                f"There is no strategy {strategy!r:.60}; built in are {', '.join(BUILT_IN)}.",
                did_you_mean(strategy, BUILT_IN) or "Give a strategy object to use any other.",
            )
        found = BUILT_IN[strategy]
        return lambda: found
    if isinstance(strategy, AllocationStrategy):
        return lambda: strategy
    return strategy


def _reason(given: object) -> ReleaseReason:
    try:
        return ReleaseReason(given)  # type: ignore[arg-type]  # what it does not know is refused below
    except ValueError:
        raise InvalidRequestError(
            f"The reason of a release is {given!r:.60}; {', '.join(ReleaseReason)} are allowed.",
            did_you_mean(str(given), [one.value for one in ReleaseReason]) or "Use one of them.",
        ) from None


def _named(lease: Lease, faulty: object) -> tuple[str, ...]:
    """Return the entities of a lease that are at fault.

    Raises:
        InvalidRequestError: One of them is not the lease's.
    """
    names = tuple(faulty) if isinstance(faulty, Iterable) and not isinstance(faulty, str) else (faulty,)
    held = lease.resources
    for one in names:
        if one not in held:
            raise InvalidRequestError(
                f"The resource {one!r:.60} is not held by task {lease.task_id!r}, and cannot be its fault.",
                f"It holds {', '.join(held[:10])}.",
            )
    return names
