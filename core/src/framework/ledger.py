"""Who holds what: one lease for each resource that was lent and not yet given back.

The ledger is a plain thread-safe object without awaits. A lease has two axes. *Allocation* moves one way:

    INTENT -> HELD -> RELEASING -> RELEASED
    INTENT -> FAILED                              (it could not be created)
    RELEASING -> QUARANTINED -> RELEASING         (giving it back failed; it may be tried again)

*Usage* moves freely while the lease is held. `ResourceStatus` is the projection of both that users see.

A forked child sees the leases of its parent as *borrowed*: giving one back there ends the loan and nothing else.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from framework import identity
from framework.errors import LeaseStateError, PolicyError, ResourceLimitError
from framework.journal import Journal, Target
from framework.lease import FAILED, HELD, INTENT, QUARANTINED, RELEASED, RELEASING, Lease, nothing
from framework.process_number import process_number
from framework.quotas import Quotas
from framework.records import Allocation, LeaseRecord, LedgerStatistics, Quota, Usage
from framework.telemetry import get_logger
from framework.telemetry.tracing import NOTHING, is_collected, span

if TYPE_CHECKING:
    from framework.resources import Resource

_LOGGER = get_logger()
_is_heard = _LOGGER.is_enabled_for
_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()

LOUD = {"abandoned", "quarantined"}
"""Events that an operator should look at; the others are for developers."""


class Ledger:
    """Records every lease from the intent to create until it is given back.

    Args:
        quotas: What may not be exceeded.
        journal: How to treat the record on disk: `auto` does without where none can be kept, and says so; `required`
            refuses to create what would need it; `none` keeps none.
    """

    def __init__(self, quotas: Iterable[Quota] = (), journal: str = "auto") -> None:
        self.journal = journal
        self.renewed: Callable[[Lease], None] = _unheard
        """Called when a lease got another end; in any thread."""
        # reentrant: a finalizer or a handler of a signal may come in the middle, and look at a lease or mark it
        self._lock = threading.RLock()
        self._leases: dict[int, Lease] = {}
        self._quotas = Quotas()
        self._events: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """How often each event happened, by kind."""
        for quota in quotas:
            self._quotas.add(quota)
        _ledgers.add(self)

    def bound(self, quota: Quota) -> None:
        """Refuse from now on what would exceed a quota."""
        with self._lock:
            self._quotas.add(quota)

    def unbound(self, quota: Quota) -> None:
        """Lift a quota again."""
        with self._lock:
            self._quotas.remove(quota)

    def open(self, kind: str, name: str, owner: str, size: int, lender: object = None) -> Lease:
        """Record the intent to create a resource of `size` bytes; an empty name is replaced by a unique one.

        Args:
            kind: Its kind.
            name: What it is called.
            owner: Who it belongs to.
            size: Its size in bytes.
            lender: Who creates it, for `leases`.

        Raises:
            ResourceLimitError: A quota does not allow it; nothing is recorded.
        """
        lease = Lease(kind, name, owner, size, lender)
        try:
            with self._lock:
                lease.events = self._events[kind]
                lease.books = self._quotas.enter(kind, owner, size)
                self._leases[lease.id] = lease
        except ResourceLimitError as error:
            self.tell("refused", lease, reason=error.problem)
            raise
        return lease

    def token(self, lease: Lease) -> str:
        """Return what the names of all that is made for a lease contain, so that they are known to be its own."""
        return f"{identity.token()}{lease.id.to_bytes(6, 'big').hex()}"

    def intend(self, lease: Lease, target: Target) -> None:
        """Record on disk what must be undone should this process die, before it is done.

        Raises:
            LeaseStateError: The lease neither intends to hold something nor does, or is borrowed.
            ResourceUnavailableError: It cannot be written; nothing must be created then.
        """
        if lease.allocation not in (INTENT, HELD) or lease.borrowed:
            raise self._refusal(lease, "intend anything", (INTENT, HELD))
        journal = lease.journalled or Journal.current(self.journal)
        if journal is not None:
            journal.intend(lease, target)
            lease.journalled = journal

    def disclaim(self, lease: Lease) -> None:
        """Record on disk that nothing is to be undone for a lease any more, though it is held."""
        journal, lease.journalled = lease.journalled, None
        if journal is not None and not lease.borrowed:
            journal.release(lease.id)

    def hold(self, lease: Lease, resource: Resource) -> None:
        """Record that the resource now exists."""
        with self._lock:
            if lease.allocation is not INTENT or lease.id not in self._leases:
                raise self._refusal(lease, "become held", (INTENT,))
            lease.allocation = HELD
            lease.find = weakref.ref(resource)
            lease.events["acquired"] += 1
        if lease.journalled is not None:
            lease.journalled.hold(lease.id)
        if _is_heard(logging.DEBUG):
            self._log("acquired", lease)

    def fail(self, lease: Lease, error: BaseException | None = None) -> None:
        """Record that the resource could not be created; nothing is held.

        What a limit or a policy of the provider forbids counts as refused, like what a quota forbids.
        """
        with self._lock:
            self._move(lease, FAILED, (INTENT,))
            self._forget(lease)
        self.disclaim(lease)
        if isinstance(error, ResourceLimitError | PolicyError):
            self.tell("refused", lease, reason=error.problem)
        else:
            self.tell("failed", lease, reason=f"{type(error).__name__}: {error}" if error else "")

    def claim(self, lease: Lease) -> bool:
        """Claim the right to give a resource back; true for exactly one caller.

        A lease that is being released or was released already is counted and answered with false, and so is a
        borrowed one, which is only forgotten.

        Raises:
            LeaseStateError: The resource does not exist (yet).
        """
        with self._lock:
            if lease.allocation is HELD and lease.id in self._leases:
                lease.allocation = RELEASING
            elif lease.allocation is RELEASING or lease.allocation is RELEASED:
                lease.events["repeated"] += 1
                return False
            else:
                self._move(lease, RELEASING, (HELD, QUARANTINED))
            if lease.process == process_number():
                return True
            lease.allocation = RELEASED
            self._forget(lease)
            return False

    def watch(self, lease: Lease) -> concurrent.futures.Future[BaseException | None] | None:
        """Return a future for the outcome of the release under way: None or its error; None if there is none."""
        with self._lock:
            if lease.allocation is not RELEASING:
                return None
            lease.watchers = [*(lease.watchers or ()), concurrent.futures.Future()]
            return lease.watchers[-1]

    def settle(self, lease: Lease, *, released: bool, error: BaseException | None = None) -> None:
        """Record how giving back ended: released, or quarantined because of an error; tell those who watch."""
        with self._lock:
            if lease.allocation is not RELEASING or lease.id not in self._leases:
                raise self._refusal(lease, f"become {'released' if released else 'quarantined'}", (RELEASING,))
            if released:
                lease.allocation = RELEASED
                lease.events["released"] += 1
                self._forget(lease)
            else:
                lease.allocation = QUARANTINED
                lease.events["quarantined"] += 1
            watchers, lease.watchers = lease.watchers, None
        if released:
            if lease.journalled is not None:
                self.disclaim(lease)
            if _is_heard(logging.DEBUG):
                self._log("released", lease)
        else:
            self._log("quarantined", lease, reason=f"{type(error).__name__}: {error}")
        if watchers is not None:
            for watcher in watchers:
                watcher.set_result(error)

    def use(self, lease: Lease, usage: Usage) -> None:
        """Record what a held resource is doing.

        Raises:
            LeaseStateError: The resource is not held.
        """
        with span("lease.use", **lease.labels(), usage=usage.value) if is_collected() else NOTHING:
            with self._lock:
                if lease.allocation is not HELD:
                    raise self._refusal(lease, f"be marked {usage.value}", (HELD,))
                lease.usage = usage
                lease.used_at = time.time()
            self.tell("used", lease, usage=usage.value)

    def renew(self, lease: Lease, ttl: float | None) -> None:
        """Let a held lease end in `ttl` seconds from now, or never.

        Raises:
            LeaseStateError: The resource is not held.
        """
        with self._lock:
            if lease.allocation is not HELD:
                raise self._refusal(lease, "be renewed", (HELD,))
            lease.used_at = time.time()
            lease.ends = None if ttl is None else time.monotonic() + ttl
        self.renewed(lease)

    def tell(self, event: str, lease: Lease, **more: str) -> None:
        """Count something that happened to a lease, and log it as the event `lease_<event>`: for all kinds the same."""
        self.count(event, lease.kind)
        if _is_heard(logging.WARNING if event in LOUD else logging.DEBUG):
            self._log(event, lease, **more)

    def count(self, event: str, kind: str) -> None:
        """Count something that happened to a lease of a kind, whichever process had it."""
        with self._lock:
            self._events[kind][event] += 1

    def events(self) -> dict[tuple[str, str], int]:
        """Return how often each event happened to leases of each kind."""
        with self._lock:
            return {(event, kind): number for kind, one in self._events.items() for event, number in one.items()}

    def leases(self, lender: object = None) -> list[Lease]:
        """Return the leases that hold or may hold something, oldest first; of one lender, or of all."""
        with self._lock:
            leases = list(self._leases.values())
        return leases if lender is None else [lease for lease in leases if lease.lender is lender]

    def records(self, *, idle_for: float = 0.0, older_than: float = 0.0) -> tuple[LeaseRecord, ...]:
        """Return a snapshot of every lease, oldest first.

        Args:
            idle_for: Only those that were not used for so many seconds.
            older_than: Only those that were acquired at least so many seconds ago.
        """
        now = time.time()
        with self._lock:
            return tuple(
                lease.record()
                for lease in list(self._leases.values())
                if (not idle_for or now - lease.used_at >= idle_for)
                and (not older_than or now - lease.acquired_at >= older_than)
            )

    def statistics(self) -> LedgerStatistics:
        """Return the counts of now."""
        with self._lock:
            kinds, owners = self._quotas.totals("kind"), self._quotas.totals("owner")
            counts: Counter[str] = Counter()
            for one in self._events.values():
                counts.update(one)
            return LedgerStatistics(
                acquired=counts["acquired"],
                released=counts["released"],
                failed=counts["failed"],
                refused=counts["refused"],
                expired=counts["expired"],
                abandoned=counts["abandoned"],
                repeated_releases=counts["repeated"],
                held=len(self._leases),
                held_bytes=sum(tally.bytes for tally in kinds.values()),
                held_by_kind={name: tally.count for name, tally in kinds.items()},
                held_by_owner={name: tally.count for name, tally in owners.items()},
                held_bytes_by_kind={name: tally.bytes for name, tally in kinds.items()},
                held_bytes_by_owner={name: tally.bytes for name, tally in owners.items()},
            )

    def _forget(self, lease: Lease) -> None:
        del self._leases[lease.id]
        self._quotas.leave(lease.books, lease.size)
        lease.find = nothing

    def _move(self, lease: Lease, to: Allocation, allowed: tuple[Allocation, ...]) -> None:
        if lease.allocation not in allowed or self._leases.get(lease.id) is not lease:
            raise self._refusal(lease, f"become {to.value}", allowed)
        lease.allocation = to

    @staticmethod
    def _log(event: str, lease: Lease, **more: str) -> None:
        level = logging.WARNING if event in LOUD else logging.DEBUG
        _LOGGER.log(level, f"lease_{event}", lease=lease.id, **lease.labels(), **more)

    @staticmethod
    def _refusal(lease: Lease, action: str, allowed: tuple[Allocation, ...]) -> LeaseStateError:
        states = " or ".join(sorted(state.value for state in allowed))
        state = "held by the process that this one was forked from," if lease.borrowed else lease.allocation.value
        return LeaseStateError(
            f"{lease.kind} {lease.name!r} is {state} and cannot {action}; that needs it to be {states} in this ledger.",
            "Acquire the resource again.",
            resource=lease.name,
        )

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()


def _unheard(_: Lease) -> None:
    return None


def _renew_locks() -> None:
    """Let a forked child use the ledgers: at the fork another thread of the parent may have held a lock."""
    for ledger in _ledgers:
        ledger._renew_lock()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_renew_locks)
