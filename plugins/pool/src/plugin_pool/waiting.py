"""`Waiting`: what a pool does for tasks that can wait, on top of what it does for those that cannot."""

from __future__ import annotations

import asyncio
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from framework.errors import InvalidRequestError
from plugin_pool import reading, words
from plugin_pool.change import Change
from plugin_pool.deadlock import waits_for_ever
from plugin_pool.errors import DeadlockError, ShortageError
from plugin_pool.expiry import Expiry
from plugin_pool.lease import Lease
from plugin_pool.line import Line
from plugin_pool.planner import Plan
from plugin_pool.records import ReleaseReason, Tier
from plugin_pool.request import Request
from plugin_pool.stock import Stock
from plugin_pool.waiter import LoopWaiter, ThreadWaiter, Waiter

W = TypeVar("W", ThreadWaiter, LoopWaiter)


class Waiting(ABC):
    """Acquires, at once or later. Thread-safe."""

    _lock: threading.Lock
    _change: Change
    _stock: Stock
    _line: Line
    _expiry: Expiry
    _clock: Callable[[], float]

    @abstractmethod
    def prepare(self, requirements: object) -> Request:
        """Return requirements in a form that is read once."""

    def acquire(
        self,
        task_id: str,
        requirements: object,
        *,
        priority: float = 0.0,
        timeout: float | None = None,
        ttl: float | None = None,
        until: Tier | str = Tier.BUSY,
    ) -> Lease:
        """Give a task everything that it requires, as soon as it is its turn; a thread waits for that.

        Args:
            task_id: The task.
            requirements: What it requires.
            priority: The higher, the sooner; one step is worth as much as having waited `aging` seconds longer.
            timeout: Most seconds to wait; None for as long as it takes.
            ttl: Seconds after which the lease ends unless it is renewed; None for never.
            until: The worst tier to wait in: `busy` for others to release, `error` also for somebody to repair,
                `impossible` also for somebody to add. Anything worse is refused at once, also while it waits.

        Raises:
            InvalidRequestError: A parameter is wrong, the task holds or waits already, or an event loop would stand
                still.
            ShortageError: It cannot be had, or was not had in time; `tier` says what it would take.
        """
        waiter = self._waiter(ThreadWaiter, task_id, requirements, priority, timeout, ttl, until)
        return self._by_thread(waiter, timeout)

    async def acquire_async(
        self,
        task_id: str,
        requirements: object,
        *,
        priority: float = 0.0,
        timeout: float | None = None,
        ttl: float | None = None,
        until: Tier | str = Tier.BUSY,
    ) -> Lease:
        """As `acquire`, but the event loop goes on meanwhile; when it is cancelled, nothing is held.

        Raises:
            InvalidRequestError: A parameter is wrong, or the task holds or waits already.
            ShortageError: It cannot be had, or was not had in time.
        """
        waiter = self._waiter(LoopWaiter, task_id, requirements, priority, timeout, ttl, until)
        return await self._by_loop(waiter, timeout)

    def extend(
        self, task_id: str, requirements: object, *, priority: float = 0.0, timeout: float | None = None
    ) -> Lease:
        """Give a task more than it holds, as soon as it is its turn; a thread waits for that.

        Raises:
            InvalidRequestError: A parameter is wrong, or the task holds nothing.
            ShortageError: It cannot be had, or was not had in time; what the task held it still holds.
            DeadlockError: It would wait for tasks that wait for what it holds itself.
        """
        waiter = self._extender(ThreadWaiter, task_id, requirements, priority, timeout)
        return self._by_thread(waiter, timeout)

    async def extend_async(
        self, task_id: str, requirements: object, *, priority: float = 0.0, timeout: float | None = None
    ) -> Lease:
        """As `extend`, but the event loop goes on meanwhile; when it is cancelled, the task holds what it held.

        Raises:
            InvalidRequestError: A parameter is wrong, or the task holds nothing.
            ShortageError: It cannot be had, or was not had in time.
            DeadlockError: It would wait for tasks that wait for what it holds itself.
        """
        waiter = self._extender(LoopWaiter, task_id, requirements, priority, timeout)
        return await self._by_loop(waiter, timeout)

    def join(self, waiter: Waiter) -> bool:
        """Let a waiter of the caller's own kind wait, which is woken under the pool's lock; False when it was served.

        Raises:
            InvalidRequestError: Its task holds or waits already, or has a wrong id or priority.
        """
        check_task(waiter.task_id, waiter.priority)
        try:
            return self._ask(waiter, None)
        except BaseException:
            self._abandon(waiter)
            raise

    def leave(self, waiter: Waiter) -> bool:
        """Let a waiter go that was not served yet; False when it was."""
        with self._lock, self._change:
            waits = self._line.waiters.get(waiter.task_id) is waiter
            if waits:
                self._line.leave(waiter)
        return waits

    def dismiss(self, task_id: str) -> bool:
        """Send a task away that waits, which gets a `ShortageError`; False when it does not wait."""
        with self._lock, self._change:
            waiter = self._line.waiters.get(task_id)
            if waiter is None:
                return False
            self._line.refuse(waiter, self._stock.planner.tier(waiter.request, waiter.own))
        return True

    def _by_thread(self, waiter: ThreadWaiter, timeout: float | None) -> Lease:
        try:
            if self._ask(waiter, timeout):
                waiter.wait(timeout)
            return self._outcome(waiter)
        except BaseException:
            try:
                self._abandon(waiter)
            except BaseException:  # it was interrupted itself: else a task would wait, or hold, that nobody knows of
                self._abandon(waiter)
                raise
            raise

    async def _by_loop(self, waiter: LoopWaiter, timeout: float | None) -> Lease:
        try:
            if self._ask(waiter, timeout):
                await waiter.wait(timeout)
            return self._outcome(waiter)
        except BaseException:
            try:
                self._abandon(waiter)
            except BaseException:  # as above
                self._abandon(waiter)
                raise
            raise

    def _waiter(
        self,
        kind: type[W],
        task_id: str,
        requirements: object,
        priority: float,
        timeout: float | None,
        ttl: float | None,
        until: Tier | str,
    ) -> W:
        check_task(task_id, priority, timeout)
        if until not in list(Tier):
            raise InvalidRequestError(
                f"The tier to wait in is {until!r:.60}; {', '.join(Tier)} are allowed.", "Use one of them."
            )
        lives = seconds(ttl, "The time to live")
        return kind(task_id, self.prepare(requirements), priority=priority, ttl=lives, until=Tier(until))

    def _extender(self, kind: type[W], task_id: str, requirements: object, priority: float, timeout: float | None) -> W:
        check_task(task_id, priority, timeout)
        request = self.prepare(requirements)
        with self._lock, self._change:
            lease = self._stock.leases.get(task_id)
        if lease is None:
            raise InvalidRequestError(
                f"The task {task_id!r} holds nothing that could be extended.", "Use acquire() or allocate_resources()."
            )
        return kind(task_id, request, priority=priority, extends=lease)

    def _ask(self, waiter: Waiter, timeout: float | None) -> bool:
        """Serve a task, or let it wait and return True."""
        with self._lock, self._change:
            self._refuse_twice(waiter)
            plan = self._line.plan(waiter.request, self._line.key_of(waiter), waiter.own, waiter.task_id)
            if plan.satisfied:
                self._line.lend(waiter, plan)
                return False
            tier = self._line.tier(waiter.request, waiter.own)
            if tier.severity > waiter.until.severity or timeout == 0:
                waiter.refused = tier
                self._stock.refuse(waiter.task_id, tier)
                return False
            if waiter.extends:
                self._refuse_deadlock(waiter)
            if isinstance(waiter, ThreadWaiter):
                _refuse_loop(waiter)
            waiter.prepare()
            self._line.join(waiter)
        return True

    def _refuse_twice(self, waiter: Waiter) -> None:
        if waiter.task_id in self._line.waiters:
            raise InvalidRequestError(f"The task {waiter.task_id!r} waits already.", "Use another task id.")
        lease = self._stock.leases.get(waiter.task_id)
        if lease is not waiter.extends:
            held = ", ".join(lease.resources[:10]) if lease else "nothing any more"
            raise InvalidRequestError(
                f"The task {waiter.task_id!r} holds {held}.",
                "Use extend() for more, release what it holds, or use another task id.",
            )

    def _refuse_deadlock(self, waiter: Waiter) -> None:
        tasks = waits_for_ever(self._stock.planner, waiter, self._line.waiters.values())
        if tasks:
            raise _deadlock(waiter, tasks)

    def _lend(self, waiter: Waiter, plan: Plan) -> None:
        """Give a task what a plan says."""
        if waiter.extends is not None:
            waiter.had = waiter.extends.entities
            waiter.got = self._stock.extend(waiter.extends, plan)
            waiter.lease = waiter.extends
        else:
            waiter.had = ()
            waiter.lease = self._stock.lend(waiter.task_id, plan, waiter.ttl)
            waiter.got = waiter.lease.entities
            self._limit(waiter.lease, waiter.ttl)

    def _limit(self, lease: Lease, ttl: float | None) -> None:
        """Let a lease end after so many seconds from now."""
        before = lease.expires
        expires = None if ttl is None else self._clock() + ttl
        lease.ttl, lease.expires = ttl, expires
        if lease.expires is not None and (before is None or lease.expires < before):
            self._expiry.note(lease)
        if lease.expires is not before:
            for watcher in self._stock.watchers:
                watcher.limited(lease)

    def _take_back(self, waiter: Waiter) -> None:
        """Take back what could not be handed over."""
        lease = waiter.lease
        if lease is None or self._stock.leases.get(waiter.task_id) is not lease:
            return
        if waiter.extends is None:
            self._stock.take_back(lease, ReleaseReason.CANCELLED)
        elif waiter.got and waiter.got[0] in lease.entities:  # else that was done already
            self._stock.shrink(lease, waiter.got, ReleaseReason.CANCELLED)

    def _abandon(self, waiter: Waiter) -> None:
        """Let a task go that does not want to wait any more; what it was given meanwhile goes to the next."""
        with self._lock, self._change:
            if waiter.lease is not None:
                self._take_back(waiter)
                self._line.serve(waiter.got)
            elif self._line.waiters.get(waiter.task_id) is waiter:
                self._line.leave(waiter)

    def _outcome(self, waiter: Waiter) -> Lease:
        with self._lock, self._change:
            if waiter.lease is not None:
                return waiter.lease
            if waiter.deadlock:
                raise _deadlock(waiter, waiter.deadlock)
            plan = self._line.plan(waiter.request, waiter.key, waiter.own)
            tier, late = waiter.refused, not waiter.settled
            if tier is None:
                tier = self._stock.planner.tier(waiter.request, waiter.own)
                self._line.leave(waiter)
            similar = [hint for line in waiter.request.lines for hint in self._stock.index.similar(line.signature)]
        lines = (*waiter.request.named, *waiter.request.lines)
        missing = tuple(plan.missing or [line.short(line.units) for line in lines])
        waited = f" It waited {self._clock() - waiter.since:.3g} s." if late else ""
        raise ShortageError(
            f"The task {waiter.task_id!r} got nothing. {words.shortage(missing, tier, similar)}{waited}",
            words.remedy(tier),
            tier=tier,
            missing=missing,
        )


def seconds(given: object, subject: str) -> float | None:
    """Return a number of seconds, 0 or more, or None.

    Raises:
        InvalidRequestError: It is something else.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given) or given < 0:
        raise InvalidRequestError(
            f"{subject} is {given!r:.60}; a number of seconds from 0, or None, is allowed.", "Give one of them."
        )
    return float(given)


def check_task(task_id: object, priority: object, timeout: float | None = None) -> None:
    """Refuse what cannot be said of a task.

    Raises:
        InvalidRequestError: Its id is no text that can be shown, its priority no finite number, or its timeout wrong.
    """
    reading.text(task_id, "The id of a task")
    seconds(timeout, "The timeout")
    if isinstance(priority, bool) or not isinstance(priority, int | float) or not math.isfinite(priority):
        raise InvalidRequestError(
            f"The priority is {priority!r:.60}; a finite number is allowed.", "Leave it out for 0."
        )


def _deadlock(waiter: Waiter, tasks: tuple[str, ...]) -> DeadlockError:
    others = [repr(one) for one in tasks if one != waiter.task_id]
    return DeadlockError(
        f"The task {waiter.task_id!r} would wait for ever: "
        + (f"so do {', '.join(others)}, for what it holds." if others else "what it wants, it holds itself."),
        "Release what it holds and acquire everything at once.",
        tasks=tasks,
    )


def _refuse_loop(waiter: Waiter) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InvalidRequestError(
        f"The task {waiter.task_id!r} would have to wait, and the event loop of this thread would stand still.",
        "Use acquire_async() or extend_async().",
    )
