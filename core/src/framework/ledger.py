"""Who holds what: one lease for each resource that was lent and not yet given back.

The ledger is a plain thread-safe object without awaits. A lease has two axes. *Allocation* moves one way:

    INTENT -> HELD -> RELEASING -> RELEASED
    INTENT -> FAILED                              (it could not be created)
    RELEASING -> QUARANTINED -> RELEASING         (giving it back failed; it may be tried again)

*Usage* moves freely while the lease is held. `ResourceStatus` is the projection of both that users see.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from framework.errors import LeaseStateError
from framework.records import Allocation, LeaseRecord, LedgerStatistics, ResourceStatus, Usage

if TYPE_CHECKING:
    from framework.resources import Resource

_ids = itertools.count(1)
_TOKEN = os.urandom(4).hex()  # a made-up name must not meet a leftover of a dead process with the same number


class Lease:
    """The ledger's entry for one resource. Only the ledger changes its allocation."""

    __slots__ = ("acquired_at", "allocation", "id", "kind", "name", "owner", "resource", "size", "usage", "watchers")

    def __init__(self, kind: str, name: str, owner: str, size: int) -> None:
        self.id = next(_ids)
        self.kind = kind
        self.name = name or f"{kind}-{os.getpid()}-{_TOKEN}-{self.id}"
        self.owner = owner
        self.size = size
        self.acquired_at = time.time()
        self.allocation = Allocation.INTENT
        self.usage = Usage.AVAILABLE
        self.resource: Resource | None = None
        self.watchers: list[concurrent.futures.Future[BaseException | None]] = []

    @property
    def status(self) -> ResourceStatus:
        """The one word that users see."""
        if self.allocation is Allocation.HELD:
            return ResourceStatus(self.usage.value)
        if self.allocation in {Allocation.FAILED, Allocation.QUARANTINED}:
            return ResourceStatus.ERROR
        if self.allocation is Allocation.INTENT:
            return ResourceStatus.BLOCKED
        return ResourceStatus.RELEASED

    def record(self) -> LeaseRecord:
        """Return a snapshot."""
        return LeaseRecord(
            self.id, self.kind, self.name, self.owner, self.size, self.acquired_at, self.allocation, self.status
        )


class Ledger:
    """Records every lease from the intent to create until it is given back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[int, Lease] = {}
        self._acquired = self._released = self._failed = self._repeated = 0

    def open(self, kind: str, name: str, owner: str, size: int) -> Lease:
        """Record the intent to create a resource of `size` bytes; an empty name is replaced by a unique one."""
        lease = Lease(kind, name, owner, size)
        with self._lock:
            self._leases[lease.id] = lease
        return lease

    def hold(self, lease: Lease, resource: Resource) -> None:
        """Record that the resource now exists."""
        with self._lock:
            self._move(lease, Allocation.HELD, {Allocation.INTENT})
            lease.resource = resource
            self._acquired += 1

    def fail(self, lease: Lease) -> None:
        """Record that the resource could not be created; nothing is held."""
        with self._lock:
            self._move(lease, Allocation.FAILED, {Allocation.INTENT})
            del self._leases[lease.id]
            self._failed += 1

    def claim(self, lease: Lease) -> bool:
        """Claim the right to give a resource back; true for exactly one caller.

        A lease that is being released or was released already is counted and answered with false.

        Raises:
            LeaseStateError: The resource does not exist (yet).
        """
        with self._lock:
            if lease.allocation in {Allocation.RELEASING, Allocation.RELEASED}:
                self._repeated += 1
                return False
            self._move(lease, Allocation.RELEASING, {Allocation.HELD, Allocation.QUARANTINED})
            return True

    def watch(self, lease: Lease) -> concurrent.futures.Future[BaseException | None] | None:
        """Return a future for the outcome of the release under way: None or its error; None if there is none."""
        with self._lock:
            if lease.allocation is not Allocation.RELEASING:
                return None
            lease.watchers.append(concurrent.futures.Future())
            return lease.watchers[-1]

    def settle(self, lease: Lease, *, released: bool, error: BaseException | None = None) -> None:
        """Record how giving back ended: released, or quarantined because of an error; tell those who watch."""
        with self._lock:
            if released:
                self._move(lease, Allocation.RELEASED, {Allocation.RELEASING})
                del self._leases[lease.id]
                lease.resource = None
                self._released += 1
            else:
                self._move(lease, Allocation.QUARANTINED, {Allocation.RELEASING})
            watchers, lease.watchers = lease.watchers, []
        for watcher in watchers:
            watcher.set_result(error)

    def use(self, lease: Lease, usage: Usage) -> None:
        """Record what a held resource is doing.

        Raises:
            LeaseStateError: The resource is not held.
        """
        with self._lock:
            if lease.allocation is not Allocation.HELD:
                raise self._refusal(lease, f"be marked {usage.value}", {Allocation.HELD})
            lease.usage = usage

    def leases(self) -> list[Lease]:
        """Return the leases that hold or may hold something, oldest first."""
        with self._lock:
            return list(self._leases.values())

    def records(self) -> tuple[LeaseRecord, ...]:
        """Return a snapshot of every lease, oldest first."""
        with self._lock:
            return tuple(lease.record() for lease in self._leases.values())

    def statistics(self) -> LedgerStatistics:
        """Return the counts of now."""
        with self._lock:
            leases = list(self._leases.values())
            return LedgerStatistics(
                acquired=self._acquired,
                released=self._released,
                failed=self._failed,
                repeated_releases=self._repeated,
                held=len(leases),
                held_bytes=sum(lease.size for lease in leases),
                held_by_kind=Counter(lease.kind for lease in leases),
                held_by_owner=Counter(lease.owner for lease in leases),
            )

    def _move(self, lease: Lease, to: Allocation, allowed: set[Allocation]) -> None:
        if lease.allocation not in allowed or self._leases.get(lease.id) is not lease:
            raise self._refusal(lease, f"become {to.value}", allowed)
        lease.allocation = to

    @staticmethod
    def _refusal(lease: Lease, action: str, allowed: set[Allocation]) -> LeaseStateError:
        states = " or ".join(sorted(state.value for state in allowed))
        return LeaseStateError(
            f"{lease.kind} {lease.name!r} is {lease.allocation.value} and cannot {action}; that needs it to be {states}"
            " in this ledger.",
            "Acquire the resource again.",
            resource=lease.name,
        )
