"""`Orchestrator`: dispatches tasks as soon as the pool has what they require, and says what stops it."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool import reading, words
from plugin_pool.handover import Handover
from plugin_pool.lease import Lease
from plugin_pool.pool import ResourcePool
from plugin_pool.records import (
    AllocationStatus,
    BlockedReason,
    CheckResult,
    ReleaseReason,
    ResourceRequirement,
    TaskResourceAllocation,
    Tier,
)
from plugin_pool.request import Request
from plugin_pool.waiter import Waiter
from plugin_pool.waiting import check_task


class OrchestratorState(enum.StrEnum):
    """What an orchestrator does."""

    RUNNING = "running"
    """It dispatches; no task lacks anything."""
    PAUSED = "paused"
    """Tasks wait for what is in use, or somebody said STOP."""
    BLOCKED_REVIEW = "blocked_review"
    """A person must add or repair something, or take a task back."""


@dataclass(frozen=True, slots=True)
class Action:
    """What an orchestrator did or was told: `STOP` or `START`, and why; `at` is in seconds since the epoch."""

    action: str
    params: dict[str, str]
    at: float = field(default_factory=time.time)


class _Dispatch(Waiter):
    """A task of an orchestrator that waits in the pool's line."""

    ready: Handover[str]
    told = False

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        """Tell whoever takes the next task."""
        if self.lease is not None and not self.told:
            self.told = True
            self.ready.put(self.task_id)
        return True


class _Task:
    """A task, from when it was submitted."""

    def __init__(self, task_id: str, request: Request, priority: float, after: tuple[str, ...]) -> None:
        self.task_id = task_id
        self.request = request
        self.priority = priority
        self.after = after
        self.waiter: _Dispatch | None = None
        self.ended: AllocationStatus | None = None

    @property
    def lease(self) -> Lease | None:
        return self.waiter.lease if self.waiter else None


class Orchestrator:
    """Dispatches tasks. Thread-safe.

    A task waits in the pool's line like everybody else, so its turn comes as soon as something is released, added or
    repaired; nobody has to ask again. Nothing is refused: what the pool does not have puts the orchestrator into
    `blocked_review` until a person adds it, or withdraws the task.

    Args:
        pool: Where the resources come from.
        resume: True to go on by itself when what was lacking comes. With False every shortage stops it, until somebody
            calls `start`.
    """

    def __init__(self, pool: ResourcePool, *, resume: bool = True) -> None:
        self._pool = pool
        self._resume = resume
        self._lock = threading.RLock()
        self._tasks: dict[str, _Task] = {}
        self._ready: Handover[str] = Handover()
        self._stopped = ""
        self.actions: list[Action] = []
        """Every STOP and START, in order."""

    def submit(
        self, task_id: str, requirements: object, *, priority: float = 0.0, after: Collection[str] = ()
    ) -> TaskResourceAllocation:
        """Take in a task, and dispatch it if it can be.

        Args:
            task_id: The task.
            requirements: What it requires, as for the pool.
            priority: The higher, the sooner.
            after: Tasks that must be completed first. While one of them has failed, this one is blocked; submit the
                one that failed again.

        Raises:
            InvalidRequestError: A parameter is wrong, the task is known already, or one to come first is not.
        """
        check_task(task_id, priority)
        request = self._pool.prepare(requirements)
        with self._lock:
            if task_id in self._tasks and self._tasks[task_id].ended is None:
                raise InvalidRequestError(f"The task {task_id!r} is known already.", "Use another task id.")
            for one in after:
                self._find(one)
            task = _Task(task_id, request, priority, tuple(after))
            self._dispatch(task)
            self._tasks[task_id] = task
            self._note()
            return self.allocation(task_id)

    def next(self, timeout: float | None = None) -> Lease | None:
        """Wait for the next task that has what it requires, and return its lease; None after so many seconds.

        Its lease is released with `finish`, not by itself.

        Raises:
            ResourceUnavailableError: The pool is kept on disk and cannot be written; the task has lost its lease.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            task_id = self._ready.get(None if until is None else until - time.monotonic())
            if task_id is None:
                return None
            with self._lock:
                task = self._tasks.get(task_id)
                lease = None if task is None or task.ended is not None else task.lease
            if lease is not None:
                self._pool.confirm(lease)
                return lease

    def finish(
        self, task_id: str, reason: ReleaseReason | str = ReleaseReason.COMPLETED, *, faulty: object = None
    ) -> bool:
        """End a task: release what it holds, and dispatch those that waited for it. False when it has ended already.

        Raises:
            InvalidRequestError: There is no such task, or a parameter is wrong.
        """
        why = reading.reason(reason)
        with self._lock:
            task = self._find(task_id)
            if task.ended is not None:
                return False
            if task.waiter is not None and (task.lease is not None or not self._pool.leave(task.waiter)):
                self._give_back(task, why, faulty)  # perhaps it was served this very moment
            completed = why is ReleaseReason.COMPLETED
            task.ended = AllocationStatus.COMPLETED if completed else AllocationStatus.FAILED
            for other in self._tasks.values():
                if task_id in other.after and other.waiter is None and other.ended is None:
                    self._dispatch(other)
            self._note()
        return True

    def _give_back(self, task: _Task, reason: ReleaseReason, faulty: object) -> None:
        if task.lease is not None:
            task.lease.release(reason, faulty=faulty)

    def stop(self, reason: str) -> None:
        """Dispatch nothing more until `start`; what runs goes on.

        Raises:
            InvalidRequestError: The reason is empty.
        """
        if not reason:
            raise InvalidRequestError("A STOP has no reason.", "Say why, for those who find it stopped.")
        with self._lock:
            self._stop(reason)

    def start(self, reason: str = "requested") -> OrchestratorState:
        """Check again what all tasks need that wait, dispatch what can be, and return the state."""
        with self._lock:
            self._stopped = ""
            self.actions.append(Action("START", {"reason": reason}))
            for task in sorted(self._waiting(), key=lambda one: -one.priority):
                self._dispatch(task)
            self._note()
            return self.state

    @property
    def state(self) -> OrchestratorState:
        """What it does now, worked out anew."""
        with self._lock:
            tiers = {one.tier for one in self._checks()}
            if tiers & {Tier.ERROR, Tier.IMPOSSIBLE}:
                return OrchestratorState.BLOCKED_REVIEW
            return OrchestratorState.PAUSED if tiers or self._stopped else OrchestratorState.RUNNING

    @property
    def reason(self) -> str:
        """Why it does not run, naming what is missing; empty while it runs."""
        with self._lock:
            told = [self._stopped] if self._stopped else []
            told += [words.shortage(one.missing_resources, one.tier) for one in self._checks() if not one.satisfied]
            return " ".join(dict.fromkeys(told))

    @property
    def missing_resources(self) -> tuple[ResourceRequirement, ...]:
        """What somebody must add or repair, for all tasks that wait."""
        with self._lock:
            worst = [one for one in self._checks() if one.tier in (Tier.ERROR, Tier.IMPOSSIBLE)]
            return tuple([lacking for one in worst for lacking in one.missing_resources])

    def _checks(self) -> list[CheckResult]:
        """Check what tasks wait for, once for all that wait for the same."""
        requests = {task.request.key: task.request for task in self._waiting() if self._may_start(task)}
        return [self._pool.check_resource_requirements(one) for one in requests.values()]

    def allocation(self, task_id: str) -> TaskResourceAllocation:
        """Return how far a task is, and why it is blocked.

        Raises:
            InvalidRequestError: There is no such task.
        """
        with self._lock:
            task = self._find(task_id)
            if task.ended is not None:
                return TaskResourceAllocation(task_id, (), task.ended)
            found = self._pool.get_allocation(task_id) if task.lease is not None else None
            if found is not None:
                return found
            if task.lease is not None:  # it was taken away: released by others, or its time was over
                return TaskResourceAllocation(task_id, (), AllocationStatus.FAILED)
            waits = BlockedReason.RESOURCE_SHORTAGE if self._may_start(task) else BlockedReason.DEPENDENCY_NOT_READY
            return TaskResourceAllocation(task_id, (), AllocationStatus.BLOCKED, waits)

    def _find(self, task_id: str) -> _Task:
        found = self._tasks.get(task_id)
        if found is None:
            raise InvalidRequestError(
                f"There is no task {task_id!r:.80}.", did_you_mean(str(task_id), self._tasks) or "Submit it first."
            )
        return found

    def _waiting(self) -> list[_Task]:
        return [one for one in self._tasks.values() if one.lease is None and one.ended is None]

    def _may_start(self, task: _Task) -> bool:
        """Return whether everything that must be completed before a task is."""
        return all(self._tasks[one].ended is AllocationStatus.COMPLETED for one in task.after)

    def _dispatch(self, task: _Task) -> None:
        """Give a task what it requires, or let it wait for that in the pool's line.

        Raises:
            InvalidRequestError: The task holds or waits for something in the pool already.
        """
        if task.waiter is not None or self._stopped or not self._may_start(task):
            return
        waiter = _Dispatch(task.task_id, task.request, priority=task.priority, until=Tier.IMPOSSIBLE)
        waiter.ready = self._ready
        if not self._pool.join(waiter):
            self._ready.put(task.task_id)
        task.waiter = waiter

    def _note(self) -> None:
        """Write down that a shortage has begun; where somebody must say START, stop."""
        if self._stopped or self.state is OrchestratorState.RUNNING:
            return
        reason = self.reason
        if not self._resume:
            self._stop(reason)
        elif not self.actions or self.actions[-1].params["reason"] != reason:
            self.actions.append(Action("STOP", {"reason": reason}))

    def _stop(self, reason: str) -> None:
        self._stopped = reason
        self.actions.append(Action("STOP", {"reason": reason}))
        for task in self._waiting():
            if task.waiter is not None and self._pool.leave(task.waiter):
                task.waiter = None
