"""`Keeper`: writes down every change of a pool, and from time to time all of it.

A change is in the journal before the call that made it returns, and under the pool's lock, so that records are in the
order of what happened. When a journal has become long, a thread begins the next one, copies what there is under the
lock, and writes that as a snapshot; then the journals before are superfluous. When there is no room, the pool goes on
and nothing more is written, because a journal with a gap would be worse than one that ends; the thread tries again and
again to write a snapshot, from which on everything is kept again.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final

from framework import get_logger
from framework.errors import ResourceUnavailableError
from plugin_pool.change import Change
from plugin_pool.keeping.commit import Commit, Place
from plugin_pool.keeping.directory import StateDirectory
from plugin_pool.keeping.framing import record
from plugin_pool.keeping.journal import Journal
from plugin_pool.keeping.persistence import Durability, Persistence
from plugin_pool.keeping.recorder import Recorder
from plugin_pool.keeping.recovery import Recovery
from plugin_pool.keeping.session import Session
from plugin_pool.keeping.snapshot import Snapshot
from plugin_pool.keeping.state import VERSION
from plugin_pool.stock import Stock

LONG: Final = 8 << 20
"""Bytes of journals from which on there is a new snapshot, once they are also twice as long as the last one."""

_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between attempts to write again
_FORKED = "this process was forked from the one that keeps the pool"


class Keeper(Recorder):
    """Keeps a pool in a directory.

    Args:
        directory: Where; it is the keeper's from now on.
        durability: What may be lost.
        stock: What there is.
        lock: The pool's lock.
        change: What makes the pool whole that was interrupted.
        clock: The pool's clock.
        session: This process.
        found: What is in the directory, and was put into the stock.

    Attributes:
        degraded: Why nothing is kept until the next snapshot; empty while all is well.
        notes: What was amiss when the directory was read.

    Raises:
        OSError: The directory cannot be written.
    """

    def __init__(
        self,
        directory: StateDirectory,
        durability: Durability,
        stock: Stock,
        lock: AbstractContextManager[object],
        change: Change,
        clock: Callable[[], float],
        session: Session,
        found: Recovery,
    ) -> None:
        self._directory = directory
        self.durability = durability
        super().__init__(stock, clock, session)
        self._lock = lock
        self._change = change
        self._epoch = stock.look()
        self._snapshot_bytes = found.snapshot_bytes
        self._due = max(LONG, 2 * found.snapshot_bytes)
        self._before = found.bytes - found.end
        self._former: list[Journal] = []
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._commit = Commit()
        self.notes = tuple(found.notes)
        self.degraded = ""
        self.closed = False
        leases = found.state.leases.values()
        self.inherited = {one.epoch: one.owner for one in leases if one.owner is not None}
        self.configured = found.state.configured
        self._journal = self._continued(found) if found.usable else self._begun(found)
        self._writing = durability is not Durability.NONE
        self._write = self._journal.write if self._writing else _refuse
        _keepers.add(self)

    def _continued(self, found: Recovery) -> Journal:
        """Go on with the last journal."""
        for path in found.superfluous:
            os.unlink(path)
        self._directory.remove_before(found.first)
        journal = Journal.continued(self._directory.file("journal", found.generation), found.generation, found.end)
        journal.append(self._opening())
        journal.sync()
        return journal

    def _begun(self, found: Recovery) -> Journal:
        """Begin with a snapshot; what is damaged is put aside."""
        generation = self._directory.newest() + 1
        journal = self._made(generation, fresh=True)
        try:
            self._snapshot_bytes = self._copy().write(self._directory.file("snapshot", generation), generation)
        except OSError:
            journal.close()
            os.unlink(journal.path)
            raise
        self._before = 0
        for path in found.aside:
            self.notes = (*self.notes, f"{path} is kept as {self._directory.set_aside(path)}.")
        self._directory.sync()
        self._directory.remove_before(generation)
        return journal

    def _made(self, generation: int, *, fresh: bool) -> Journal:
        head = record("journal", VERSION, generation, fresh) + self._opening()
        return Journal.made(self._directory.file("journal", generation), generation, head)

    def _opening(self) -> bytes:
        return record("session", self._session.as_json(), self._epoch, self.durability)

    def _copy(self) -> Snapshot:
        return Snapshot(self._stock, self._clock(), self._session, self.inherited, self.configured, self.graced)

    # Writing, under the pool's lock

    def _put(self, raw: bytes) -> None:
        """Write a record, and make room for it."""
        if not self._writing:
            return
        try:
            self._journal.append(raw)
        except (OSError, ValueError) as error:
            self._degrade(said(error))
            return
        self._write = self._journal.write
        if self._before + self._journal.tell() > self._due:
            self._start()

    def _degrade(self, reason: str) -> None:
        """Write nothing more until there is a new snapshot; the pool's lock must be held."""
        self._write, self._writing = _refuse, False
        if not self.degraded:
            self.degraded = reason
            get_logger().warning(
                "pool_state_degraded", path=self._directory.path, reason=reason, consequence="changes are not kept"
            )
        self._start()

    def interrupted(self) -> None:
        """Begin anew with a snapshot, because what was interrupted may not be in the journal."""
        current = {one.epoch for one in self._stock.leases.values()}
        for mine in (self.inherited, self.graced):
            for epoch in mine.keys() - current:
                del mine[epoch]
        if self.durability is not Durability.NONE and not self.closed:
            self._degrade("a change was interrupted")

    def settle(self) -> None:
        """Return once everything that happened before is on the disk; one call of the system serves all who wait.

        Raises:
            ResourceUnavailableError: It cannot be written.
        """
        journal = self._journal
        if not self.degraded:
            self._commit.settle((journal.generation, journal.tell()), self._sync)
        if self.degraded:
            raise ResourceUnavailableError(
                f"The pool in {self._directory.path!r} cannot be written to its disk: {self.degraded}.",
                "Make room there; it tries again by itself.",
                resource=self._directory.path,
            )

    def _sync(self) -> Place:
        journal = self._journal
        done = (journal.generation, journal.tell())
        try:
            for one in (*self._former, journal):
                one.sync()
        except (OSError, ValueError) as error:
            with self._lock, self._change:  # else a thread that is writing a record would go on writing, behind a gap
                self._degrade(said(error))
        return done

    # Snapshots

    def _start(self) -> None:
        """Have a thread write a snapshot, unless one does."""
        with self._starting:
            if (self._thread is None or not self._thread.is_alive()) and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="pool-keeper", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # there are too many, or Python is about to end: the next record tries
                    self._thread = None

    def _run(self) -> None:
        with self._starting:
            if self._thread is not threading.current_thread():  # whoever started it was interrupted
                return
        pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
        while not self._closing.is_set():
            try:
                self.renew()
            except Exception as error:  # noqa: BLE001 - whatever it is, as MemoryError, it must be tried again
                if not self.degraded:  # no room for a snapshot, but for the journal there is
                    get_logger().warning("pool_snapshot_failed", path=self._directory.path, reason=said(error))
                    self._due = self._before + self._journal.tell() + LONG
            with self._starting:
                if not self.degraded:
                    self._thread = None
                    return
            self._closing.wait(next(pauses))

    def renew(self) -> None:
        """Begin the next journal, with a snapshot.

        Raises:
            OSError: One of them cannot be written; what there was is still good.
        """
        journal, snapshot, gap = self._next()
        try:
            size = snapshot.write(self._directory.file("snapshot", journal.generation), journal.generation)
        except Exception as error:
            if gap:
                self._revoke(journal, said(error))
            raise
        self._directory.sync()
        self._finish(journal.generation, size)

    def _next(self) -> tuple[Journal, Snapshot, bool]:
        """Begin the next journal, and return it, what it begins with, and whether it is no good without that."""
        while True:
            gap = not self._writing
            journal = self._made(self._journal.generation + 1, fresh=gap)
            snapshot = None
            try:
                self._directory.sync()
                snapshot = self._switch(journal, gap=gap)
            finally:
                if snapshot is None:
                    _discard(journal)
            if snapshot is not None:
                return journal, snapshot, gap

    def _switch(self, journal: Journal, *, gap: bool) -> Snapshot | None:
        """Write to another journal from now on; None where a gap came about meanwhile, of which that does not know."""
        with self._lock, self._change:
            if gap == self._writing:
                return None
            snapshot = self._copy()
            self._before += self._journal.tell()
            self._former.append(self._journal)
            self._journal = journal
            self._told = set()
            self._writing = True
            self._write = journal.write
            return snapshot

    def _revoke(self, journal: Journal, reason: str) -> None:
        """Give up a journal that is no good without its snapshot."""
        with self._lock, self._change:
            self._write, self._writing = _refuse, False
            self.degraded = reason
        _discard(journal)

    def _finish(self, generation: int, size: int) -> None:
        with self._commit.lock:
            self._commit.done = max(self._commit.done, (generation, 0))
            former, self._former = self._former, []
        with self._lock, self._change:
            self._snapshot_bytes, self._before = size, 0
            self._due = max(LONG, 2 * size)
            restored = self._writing and self.degraded != ""
            if restored:
                self.degraded = ""
        for one in former:
            one.abandon()
        self._directory.remove_before(generation)
        if restored:
            get_logger().info("pool_state_restored", path=self._directory.path)

    def report(self) -> Persistence:
        """Return how the pool is kept; the pool's lock must be held."""
        journal = self._journal
        return Persistence(
            self._directory.path,
            self.durability,
            self.degraded,
            journal.count(),
            self._before + journal.tell(),
            self._snapshot_bytes,
            self.notes,
        )

    # The end

    def close(self) -> None:
        """Write what is not written yet, and let go of the directory.

        Raises:
            ResourceUnavailableError: It cannot be written; the directory is let go of all the same.
        """
        self._closing.set()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join()
        with self._lock, self._change:
            self._stock.watchers = tuple([one for one in self._stock.watchers if one is not self])
            if self.closed:
                return
            self.closed = True
        try:
            self._write_end()
        except OSError as error:
            raise ResourceUnavailableError(
                f"The pool in {self._directory.path!r} could not be written when it was closed: {said(error)}.",
                "What was written before is there; make room, and do again what happened since.",
                resource=self._directory.path,
            ) from error
        finally:
            self._write, self._writing = _refuse, False
            self.degraded = "the pool was closed"
            for one in (*self._former, self._journal):
                with suppress(OSError):
                    one.close()
            self._directory.close()

    def _write_end(self) -> None:
        if self.degraded or self.durability is Durability.NONE:
            self._writing = False
            self.renew()
        with self._lock, self._change:
            epoch = self._stock.look()
        self._journal.append(record("closed", epoch))
        self._journal.sync()

    def let_go(self) -> None:
        """Let a forked child write nothing: the files, and the lock, are its parent's."""
        self._write, self._writing = _refuse, False
        self.degraded = _FORKED
        self.closed = True
        self._thread = None
        self._starting, self._commit = threading.Lock(), Commit()  # another thread of the parent may have held them
        for one in (*self._former, self._journal):
            one.abandon()
        self._directory.close()


def _discard(journal: Journal) -> None:
    for end in (journal.close, lambda: os.unlink(journal.path)):
        with suppress(OSError):
            end()


def said(error: Exception) -> str:
    """Return what an error of the system says."""
    return (getattr(error, "strerror", None) or str(error) or "the journal is closed").lower()


def _refuse(raw: bytes) -> None:
    raise ValueError


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


def _let_go() -> None:
    for one in list(_keepers):
        if not one.closed:
            one.let_go()


os.register_at_fork(after_in_child=_let_go)
