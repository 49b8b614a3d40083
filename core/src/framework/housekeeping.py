"""`Housekeeper`: ends leases whose time is over, and gives back what other processes left when they died."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from framework import journal, recovery
from framework.errors import FrameworkError, PluginError, UnknownKindError
from framework.journal import Journal
from framework.lease import Lease
from framework.ledger import Ledger
from framework.records import Reclamation
from framework.telemetry import get_logger
from framework.telemetry.tracing import span
from framework.threads import in_thread

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
        self._ends: list[tuple[float, int, Lease]] = []
        self._watched: dict[int, float] = {}
        self._most = _MANY
        self._sooner = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        ledger.renewed = self.watch

    async def start(self) -> None:
        """Sweep once, and then from time to time."""
        self._loop = asyncio.get_running_loop()
        for lease in self._ledger.leases():
            self.watch(lease)
        first = self._begin(self._tidy())
        self._begin(self._tidy_after(first))
        self._begin(self._run())
        await asyncio.wait({first}, timeout=FIRST_WAIT)

    async def stop(self) -> None:
        """Do nothing more."""
        self._loop = None
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def watch(self, lease: Lease) -> None:
        """Give a lease back when its time is over, unless it was renewed by then; may be called in any thread."""
        loop, ends = self._loop, lease.ends
        if loop is None or ends is None or lease.borrowed or self._watched.get(lease.id, ends + 1) <= ends:
            return  # or it is looked at soon enough, and then again
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._enter, lease)

    def _enter(self, lease: Lease) -> None:
        if lease.ends is not None:
            self._watched[lease.id] = lease.ends
            heapq.heappush(self._ends, (lease.ends, lease.id, lease))
            self._sooner.set()
        if len(self._ends) > self._most:  # most leases are given back long before their end
            self._ends = [entry for entry in self._ends if entry[2].resource is not None]
            self._watched = {lease.id: ends for ends, _, lease in self._ends if self._watched.get(lease.id) == ends}
            heapq.heapify(self._ends)
            self._most = max(_MANY, 2 * len(self._ends))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def sweep(self, *, dry_run: bool = False, retry: bool = False) -> list[Reclamation]:
        """Give back what dead processes left; nothing is done where there are no other journals.

        Args:
            dry_run: Only say what would be done.
            retry: Also try what failed too often before.
        """
        if not _others():
            return []
        outcomes = await in_thread(
            lambda: recovery.reclaim(dry_run=dry_run, retry=retry, provide=self._undo), "framework-sweep"
        )
        for one in outcomes:
            if one.outcome == "reclaimed":
                self._ledger.count("reclaimed", one.kind)
        return outcomes

    def _undo(self, kind: str, path: str) -> None:
        if self._loop is None:
            raise recovery.NotHereError("the host was closed meanwhile")
        try:
            self._provide(kind, path)
        except (UnknownKindError, PluginError) as error:  # another program may have the plugin
            raise recovery.NotHereError(f"only the plugin that provides {kind} can undo it: {error.problem}") from error

    async def _run(self) -> None:
        while True:
            for lease in self._due(time.monotonic()):
                self._begin(self._expire(lease))  # by itself: one that hangs must not keep up the others
            self._sooner.clear()
            wait = self._ends[0][0] - time.monotonic() if self._ends else _LONGEST
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_LONGEST, max(0.0, wait))):
                    await self._sooner.wait()

    def _due(self, now: float) -> list[Lease]:
        due = []
        while self._ends and self._ends[0][0] <= now:
            ends, _, lease = heapq.heappop(self._ends)
            if self._watched.get(lease.id) != ends:
                continue  # it was renewed for less, and looked at since
            del self._watched[lease.id]
            if lease.ends is not None and lease.ends > now:
                self._enter(lease)  # it was renewed
            elif lease.ends is not None:
                due.append(lease)
        return due

    async def _expire(self, lease: Lease) -> None:
        resource = lease.resource
        late = lease.ends is not None and lease.ends <= time.monotonic()  # or was it renewed just now?
        if resource is None or not resource.is_allocated() or not late:
            return
        # the ledger has logged a failure, and keeps the lease as quarantined
        with contextlib.suppress(Exception), span("lease.expire", **lease.labels()):
            self._ledger.tell("expired", lease)
            await resource.release()

    async def _tidy_after(self, first: asyncio.Task[None]) -> None:
        await asyncio.wait({first})
        while True:
            await asyncio.sleep(self._interval or _LONGEST)
            await self._tidy()

    async def _tidy(self) -> None:
        try:
            own = Journal.existing()
            if own is not None:
                own.repair()
            if self._interval is not None:
                await self.sweep()
        except Exception as error:  # noqa: BLE001 - the next time it may work
            get_logger().error("sweep_failed", error=f"{type(error).__name__}: {error}")


_LONGEST = 3600.0
_MANY = 1000


def _others() -> bool:
    """Return whether any process but this one keeps a journal."""
    try:
        names = os.listdir(journal.directory_path())
    except (OSError, FrameworkError):
        return False
    own = Journal.existing()
    mine = os.path.basename(own.path) if own else ""
    return any(name != mine for name in names)
