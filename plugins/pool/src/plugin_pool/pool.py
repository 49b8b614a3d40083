"""`ResourcePool`: gives entities with levelled capabilities to tasks, all that a task needs or nothing."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Collection
from itertools import islice
from typing import NoReturn

from framework import ResourceStatus
from framework.errors import FrameworkError, InvalidRequestError, did_you_mean
from plugin_pool import reading, words
from plugin_pool.change import Change
from plugin_pool.chronicle import Followed
from plugin_pool.entity import Entity
from plugin_pool.expiry import Expiry
from plugin_pool.explainer import Explainer
from plugin_pool.explanation import Explanation
from plugin_pool.index import Index
from plugin_pool.inference import Inferring
from plugin_pool.instances import Instances
from plugin_pool.keeping.keepable import Keepable
from plugin_pool.lease import Lease
from plugin_pool.line import Line
from plugin_pool.mending import Mending
from plugin_pool.observed import Observed
from plugin_pool.planner import Plan
from plugin_pool.records import (
    AllocationResult,
    AllocationStatus,
    BlockedReason,
    CheckResult,
    ReleaseReason,
    ResourceInstance,
    TaskResourceAllocation,
    Tier,
)
from plugin_pool.request import Request
from plugin_pool.requests import Requests
from plugin_pool.roster import Roster
from plugin_pool.stock import Stock
from plugin_pool.strategies import Chooser, chosen
from plugin_pool.vocabulary import LONGEST_NAME
from plugin_pool.waiting import Waiting, seconds

_GIVEN = True
_FREE = Tier.FREE
_DEPLOYED = ResourceStatus.DEPLOYED
_COMPLETED = ReleaseReason.COMPLETED
_result = functools.partial(tuple.__new__, AllocationResult)
"""Makes a result in half the time of its class, which matters where all the rest takes a microsecond."""

ERROR_AFTER = (ReleaseReason.FAILED, ReleaseReason.EXPIRED)

STATUS = {
    ResourceStatus.DEPLOYED: (AllocationStatus.ALLOCATED, None),
    ResourceStatus.BUSY: (AllocationStatus.EXECUTING, None),
    ResourceStatus.BLOCKED: (AllocationStatus.BLOCKED, BlockedReason.DEPENDENCY_NOT_READY),
}


class ResourcePool(Roster, Waiting, Observed, Followed, Inferring, Keepable):
    """Entities with capabilities, given to tasks and taken back. Thread-safe; needs no host.

    Requirements are records, objects with the same attributes, plain mappings, or a `Request` from `prepare`.

    Args:
        strategy: `first_fit`, `best_fit`, or a strategy: which of several classes that fit is taken from.
        error_after: Reasons of release after which entities are in error until somebody repairs them, unless the
            release says which of them are faulty.
        patience: A task that needs several entities and has waited for so many seconds is not overtaken any more by
            those that came later.
        aging: So many seconds of waiting are worth as much as one step of priority.
        clock: Returns seconds that never go back.

    Raises:
        InvalidRequestError: A parameter is wrong.
    """

    def __init__(
        self,
        *,
        strategy: Chooser = "best_fit",
        error_after: Collection[ReleaseReason | str] = ERROR_AFTER,
        patience: float = 2.0,
        aging: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._index = Index(chosen(strategy))
        self._stock = Stock(self, self._index)
        self._line = Line(
            self._stock,
            clock,
            patience=seconds(patience, "The patience") or 0.0,
            aging=seconds(aging, "The aging") or 0.0,
            lend=self._lend,
            take_back=self._take_back,
        )
        self._explainer = Explainer(self._stock, self._line, clock)
        self._expiry = Expiry(clock, self.sweep, self._is_current)
        self._change = Change(Mending(self._stock, self._line, self._expiry).mend)
        self._requests = Requests(self._stock, self._lock, self._change)
        self._leases, self._waiters = self._stock.leases, self._line.waiters
        self._error_after = frozenset([reading.reason(one) for one in error_after])
        self._plain_end = _COMPLETED not in self._error_after

    def prepare(self, requirements: object) -> Request:
        """Return requirements in a form that is read once and can be asked for many times.

        Raises:
            InvalidRequestError: They are wrong, or there are none.
        """
        return self._requests.get(requirements)

    def check_resource_requirements(self, requirements: object) -> CheckResult:
        """Return whether a request could be met now, and what is lacking otherwise. It changes nothing.

        Raises:
            InvalidRequestError: The requirements are wrong.
        """
        request = self.prepare(requirements)
        with self._lock, self._change:
            plan = self._line.plan(request)
            tier = Tier.FREE if plan.satisfied else self._line.tier(request)
            found = Instances(tuple(plan.entities()), self._record)
        return CheckResult(plan.satisfied, tuple(plan.missing), found, tier)

    def allocate_resources(self, task_id: str, requirements: object, *, ttl: float | None = None) -> AllocationResult:
        """Give a task everything that it requires, or nothing; never waits.

        Args:
            task_id: The task.
            requirements: What it requires.
            ttl: Seconds after which the allocation ends unless it is renewed; None for never.

        Raises:
            InvalidRequestError: A parameter is wrong, or the task holds something already.
        """
        # Most of what a pool does is to give one entity that is free, while nobody waits and no strategy steers. It is
        # written out here with no call but those that there must be; everything else goes the long way.
        if type(requirements) is not Request:
            requirements = self.prepare(requirements)
        signature, stock, change = requirements.only, self._stock, self._change
        if (
            (signature is None or ttl is not None or requirements.index is not self._index)
            or (type(task_id) is not str or not task_id.isprintable())
            or not 0 < len(task_id) <= LONGEST_NAME
        ):
            return self._at_length(task_id, requirements, ttl)
        with self._lock:
            try:
                if (
                    stock.plain
                    and not (self._waiters or change.broken)
                    and signature.seen == self._index.size
                    and task_id not in self._leases
                ):
                    kind = signature.kind
                    for group in signature.roomy if signature.version == kind.version else signature.with_room():
                        if group.room:
                            stack = group.stack
                            if stack is None or (stack.discarded and stack.entities[0] in stack.discarded):
                                break
                            entity = stack.entities.popleft()
                            group.room -= 1
                            if not group.room:
                                kind.version += 1
                            lease = Lease(self, task_id, stock.epoch(), time.time(), (entity,))
                            entity.holders = (lease,)
                            self._leases[task_id] = lease
                            if stock.watchers:
                                stock.tell_lent(lease, lease.entities)
                            return _result((_GIVEN, (entity.id,), "", (), _FREE, lease.epoch))
            except BaseException:  # what `Change` does, for nothing where nothing happens
                change.broken = True
                change.mend()
                raise
        return self._at_length(task_id, requirements, ttl)

    def _at_length(self, task_id: str, request: Request, ttl: float | None) -> AllocationResult:
        request = self.prepare(request)
        lives = None if ttl is None else seconds(ttl, "The time to live")
        with self._lock, self._change:
            given = self._allocate(task_id, request, lives)
            if isinstance(given, Lease):
                if lives is not None:
                    self._limit(given, lives)
                return _result((_GIVEN, given.resources, "", (), _FREE, given.epoch))
            tier = self._line.tier(request)
            self._stock.refuse(task_id, tier)
        return self._refused(request, given, tier)

    def _refused(self, request: Request, plan: Plan, tier: Tier) -> AllocationResult:
        similar = [hint for line in request.lines for hint in self._index.similar(line.signature)]
        return AllocationResult(not _GIVEN, (), words.shortage(plan.missing, tier, similar), tuple(plan.missing), tier)

    def _allocate(self, task_id: str, request: Request, ttl: float | None) -> Lease | Plan:
        """Return a lease, or the plan that falls short."""
        reading.text(task_id, "The id of a task")
        if task_id in self._stock.leases:
            _refuse_twice(self._stock.leases[task_id])
        if task_id in self._line.waiters:
            raise InvalidRequestError(f"The task {task_id!r} waits already.", "Use another task id.")
        plan = self._line.plan(request, task_id=task_id)
        return self._stock.lend(task_id, plan, ttl) if plan.satisfied else plan

    def _record(self, entity: Entity) -> ResourceInstance:
        with self._lock, self._change:
            return self._stock.instance(entity)

    def mark_executing(self, task_id: str, *, epoch: int | None = None) -> bool:
        """Say that a task runs: what it holds is `busy`. False when it holds nothing."""
        return self._mark(task_id, ResourceStatus.BUSY, epoch)

    def mark_blocked(self, task_id: str, *, epoch: int | None = None) -> bool:
        """Say that a task waits for something that it depends on: what it holds is `blocked`."""
        return self._mark(task_id, ResourceStatus.BLOCKED, epoch)

    def mark_deployed(self, task_id: str, *, epoch: int | None = None) -> bool:
        """Say that a task pauses: what it holds is `deployed` again, as when it was given."""
        return self._mark(task_id, ResourceStatus.DEPLOYED, epoch)

    def _mark(self, task_id: str, usage: ResourceStatus, epoch: int | None) -> bool:
        with self._lock, self._change:
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
        why = reason if type(reason) is ReleaseReason else reading.reason(reason)
        plain, stock = why is _COMPLETED and faulty is None and self._plain_end, self._stock
        with self._lock:
            try:
                if self._change.broken:
                    self._change.mend()
                lease = self._leases.get(task_id)
                if lease is None or (epoch is not None and lease.epoch != epoch):
                    return False
                if not plain or self._waiters:
                    self._release(lease, why, faulty)
                elif not stock.plain or len(lease.entities) != 1 or lease.usage is not _DEPLOYED:
                    stock.take_back(lease)
                else:
                    entity = lease.entities[0]
                    group = entity.group
                    if group.stack is None or entity.service:
                        stock.take_back(lease)
                    else:  # the short way, as in `allocate_resources`
                        del self._leases[task_id]
                        entity.holders = ()
                        group.stack.push(entity)
                        if not group.room:
                            group.kind.version += 1
                        group.room += 1
                        if stock.watchers:
                            stock.tell_returned(lease, lease.entities, why)
            except FrameworkError:
                raise
            except BaseException:
                self._change.broken = True
                self._change.mend()
                raise
        return True

    def _release(self, lease: Lease, reason: ReleaseReason, faulty: object = None) -> None:
        broken: Collection[str] = ()
        if faulty is not None:
            broken = lease.named(faulty)
        elif reason in self._error_after:
            broken = lease.resources
        self._stock.take_back(lease, reason, broken)
        waiter = self._line.waiters.get(lease.task_id)
        if waiter is not None and waiter.extends is lease:
            self._line.refuse(waiter, Tier.BUSY)
        if self._line.waiters:
            self._line.serve(lease.entities)
            if broken:
                self._line.recheck(lease.entities)

    def renew(self, task_id: str, ttl: float | None = None, *, epoch: int | None = None) -> bool:
        """Start the time to live of an allocation anew; False when the task holds nothing.

        Args:
            task_id: The task.
            ttl: Seconds from now; as long as last time when None.
            epoch: Renew only the allocation of that number.

        Raises:
            InvalidRequestError: The number of seconds is wrong.
        """
        given = seconds(ttl, "The time to live")
        with self._lock, self._change:
            lease = self._lease(task_id, epoch)
            if lease is not None:
                self._limit(lease, lease.ttl if given is None else given)
        return lease is not None

    def sweep(self) -> int:
        """End the allocations whose time is over, as `expired`, and return how many. A thread does that by itself."""
        with self._lock, self._change:
            due = self._expiry.due()
            for lease in due:
                self._release(lease, ReleaseReason.EXPIRED)
        return len(due)

    def _is_current(self, lease: Lease) -> bool:
        return self._leases.get(lease.task_id) is lease

    def close(self) -> None:
        """End the thread that ends allocations; those that there are do not end by themselves any more."""
        self._expiry.close()

    def explain(self, subject: object) -> Explanation:
        """Say why a task waits, or what a request would take: what is lacking, who has it, and what would help.

        Args:
            subject: The id of a task that holds or waits for something, or requirements.

        Raises:
            InvalidRequestError: There is no such task, or the requirements are wrong.
        """
        request = None if isinstance(subject, str) else self.prepare(subject)
        with self._lock, self._change:
            if request is not None:
                return self._explainer.explain(request)
            waiter = self._line.waiters.get(str(subject))
            if waiter is not None:
                return self._explainer.explain(waiter.request, waiter)
            lease = self._stock.leases.get(str(subject))
            if lease is not None:
                return self._explainer.held(lease.task_id, lease.resources)
            known = [*islice(self._line.waiters, 1000), *islice(self._stock.leases, 1000)]
        raise InvalidRequestError(
            f"The task {subject!r:.80} holds nothing and waits for nothing.",
            did_you_mean(str(subject), known) or "Ask for its requirements instead.",
        )

    def get_allocation(self, task_id: str) -> TaskResourceAllocation | None:
        """Return what a task holds or waits for; None where that is nothing."""
        with self._lock, self._change:
            lease = self._stock.leases.get(task_id)
            if lease is not None:
                return self._allocation(lease)
            if task_id not in self._line.waiters:
                return None
        return TaskResourceAllocation(task_id, (), AllocationStatus.BLOCKED, BlockedReason.RESOURCE_SHORTAGE)

    def get_allocations(self, most: int = 1000) -> list[TaskResourceAllocation]:
        """Return what tasks hold, of those that have held it longest; of so many at most."""
        with self._lock, self._change:
            return [self._allocation(lease) for lease in islice(self._stock.leases.values(), most)]

    def _allocation(self, lease: Lease) -> TaskResourceAllocation:
        status, reason = STATUS[lease.usage]
        left = None if lease.expires is None else max(lease.expires - self._clock(), 0.0)
        return TaskResourceAllocation(lease.task_id, lease.resources, status, reason, lease.since, left, lease.epoch)


def _refuse_twice(lease: Lease) -> NoReturn:
    held = ", ".join(lease.resources[:10])
    raise InvalidRequestError(
        f"The task {lease.task_id!r} holds resources already: {held}.",
        "Use extend() for more, release them, or use another task id.",
    )
