"""`Housekeeper`: ends leases whose time is over, and gives back what other processes left when they died."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import math
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from framework import journal, recovery
from framework.errors import FrameworkError
from framework.journal import Journal
from framework.ledger import Lease, Ledger
from framework.records import Allocation, Reclamation
from framework.telemetry import get_logger
from framework.telemetry.tracing import span

T = TypeVar("T")

FIRST_WAIT = 5.0
"""Seconds that an opening host waits for the first sweep, which goes on without it after that."""


class Housekeeper:
    """Looks after the leases of one host, from `start` to `stop`.

    Args:
        ledger: Whose leases end by themselves.
        provide: Has a provider undo what only it can; called in a thread.
        interval: Seconds between two sweeps; None for none.
    """

    def __init__(self, ledger: Ledger, provide: Callable[[str, str], None], interval: float | None) -> None:
        self._ledger = ledger
        self._provide = provide
        self._interval = interval
        self._ends = _Ends()
        self._sooner = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Sweep once, and then from time to time."""
        loop = asyncio.get_running_loop()
        self._ledger.ends = functools.partial(self._watch, loop)
        if self._interval is not None:
            await asyncio.wait({self._begin(self._tidy())}, timeout=FIRST_WAIT)
        self._begin(self._run())

    async def stop(self) -> None:
        """Do nothing more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # a loop keeps only weak references to its tasks
        task.add_done_callback(self._tasks.discard)
        return task

    def _watch(self, loop: asyncio.AbstractEventLoop, lease: Lease) -> None:
        """Give a lease back when its time is over, unless it was renewed by then."""
        if self._ends.add(lease):
            with contextlib.suppress(RuntimeError):  # the loop has ended, and closing gave everything back
                loop.call_soon_threadsafe(self._sooner.set)

    async def sweep(self, *, dry_run: bool = False, retry: bool = False) -> list[Reclamation]:
        """Give back what dead processes left; nothing is done where there are no other journals.

        Args:
            dry_run: Only say what would be done.
            retry: Also try what failed too often before.
        """
        if not _others():
            return []
        outcomes = await _in_thread(lambda: recovery.reclaim(dry_run=dry_run, retry=retry, provide=self._provide))
        for one in outcomes:
            if one.outcome == "reclaimed":
                self._ledger.count("reclaimed", one.kind)
        return outcomes

    async def _run(self) -> None:
        next_sweep = self._later()
        while True:
            now = time.time()
            for lease in self._ends.due(now):
                self._begin(self._expire(lease))  # one that takes long must not hold up the others
            if now >= next_sweep:
                await self._tidy()
                next_sweep = self._later()
            self._sooner.clear()
            soonest = min(next_sweep, self._ends.soonest())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_LONGEST, max(0.0, soonest - time.time()))):
                    await self._sooner.wait()

    def _later(self) -> float:
        return time.time() + (self._interval or _LONGEST)

    async def _expire(self, lease: Lease) -> None:
        resource = lease.resource
        late = lease.expires_at is not None and lease.expires_at <= time.time()  # or was it renewed just now?
        if resource is None or not resource.is_allocated() or not late:
            return
        # the ledger has logged a failure, and keeps the lease as quarantined
        with contextlib.suppress(Exception), span("lease.expire", **lease.labels()):
            self._ledger.tell("expired", lease)
            await resource.release()

    async def _tidy(self) -> None:
        if self._interval is None:
            return
        try:
            own = Journal.existing()
            if own is not None:
                own.repair()
            await self.sweep()
        except Exception as error:  # noqa: BLE001 - the next time it may work
            get_logger().error("sweep_failed", error=f"{type(error).__name__}: {error}")


_LONGEST = 3600.0
_MANY = 1024


class _Ends:
    """Which leases end by themselves, the soonest first; each is in here once, whoever renews it and how often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Lease]] = []
        self._times: dict[int, float] = {}
        self._most = _MANY

    def add(self, lease: Lease) -> bool:
        """Note when a lease ends; true if that is sooner than was known of it."""
        with self._lock:
            return self._add(lease)

    def due(self, now: float) -> list[Lease]:
        """Return, and forget, the leases whose time is over."""
        over = []
        with self._lock:
            while self._heap and self._heap[0][0] <= now:
                end, number, lease = heapq.heappop(self._heap)
                if self._times.get(number) != end:  # its end was moved forward, and is in here once more
                    continue
                del self._times[number]
                if lease.expires_at is not None and lease.expires_at <= now:
                    over.append(lease)
                else:
                    self._add(lease)  # it was renewed
        return over

    def soonest(self) -> float:
        """Return when the next one may end, in seconds since the epoch; infinity when none does."""
        with self._lock:
            return self._heap[0][0] if self._heap else math.inf

    def _add(self, lease: Lease) -> bool:
        end = lease.expires_at
        if end is None or lease.allocation is not Allocation.HELD or end >= self._times.get(lease.id, math.inf):
            return False
        self._times[lease.id] = end
        heapq.heappush(self._heap, (end, lease.id, lease))
        if len(self._heap) > self._most:
            self._prune()
        return True

    def _prune(self) -> None:
        """Forget those that were given back long before their end."""
        held = [one for one in self._heap if one[2].allocation is Allocation.HELD and self._times.get(one[1]) == one[0]]
        heapq.heapify(held)
        self._heap, self._times = held, {number: end for end, number, _ in held}
        self._most = max(_MANY, 2 * len(held))


def _others() -> bool:
    """Return whether any process but this one keeps a journal."""
    try:
        names = os.listdir(journal.directory_path())
    except (OSError, FrameworkError):
        return False
    own = Journal.existing()
    mine = os.path.basename(own.path) if own else ""
    return any(name != mine for name in names)


async def _in_thread(work: Callable[[], T]) -> T:
    """Return what a function returns that runs in a thread of its own, which ends with it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="framework-sweep", daemon=True).start()
    return await done
