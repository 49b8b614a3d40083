"""`Lease`: the ledger's entry for one resource."""

from __future__ import annotations

import concurrent.futures
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from framework import identity
from framework.process_number import process_number
from framework.records import Allocation, LeaseRecord, ResourceStatus, Usage

if TYPE_CHECKING:
    from framework.journal import Journal
    from framework.quotas import Tally
    from framework.resources import Resource

# bound once: looking up a member of an enumeration takes Python 3.11 longer than a lock
INTENT, HELD, RELEASING, RELEASED, FAILED, QUARANTINED = Allocation
_AVAILABLE = Usage.AVAILABLE

_ids = itertools.count(1)


def nothing() -> None:
    """Return nothing: what `Lease.find` is while there is no resource."""


class Lease:
    """The ledger's entry for one resource. Only the ledger changes its allocation."""

    __slots__ = (
        "acquired_at",
        "allocation",
        "books",
        "ends",
        "events",
        "find",
        "id",
        "journalled",
        "kind",
        "lender",
        "name",
        "named",
        "owner",
        "process",
        "size",
        "usage",
        "used_at",
        "watchers",
    )

    def __init__(self, kind: str, name: str, owner: str, size: int, lender: object = None) -> None:
        self.id = next(_ids)
        self.kind = kind
        self.process = process_number()
        self.named = bool(name)
        # a made-up name must not meet a leftover of a dead process with the same number
        self.name = name or f"{kind}-{self.process}-{identity.short_token()}-{self.id}"
        self.owner = owner
        self.lender = lender
        self.size = size
        self.acquired_at = self.used_at = time.time()
        self.ends: float | None = None
        """When it ends by itself, by `time.monotonic`, which nobody sets."""
        self.allocation = INTENT
        self.usage = _AVAILABLE
        self.books: Sequence[Tally] = ()
        self.events: Counter[str]
        self.journalled: Journal | None = None
        self.find: Callable[[], Resource | None] = nothing
        self.watchers: list[concurrent.futures.Future[BaseException | None]] | None = None

    @property
    def resource(self) -> Resource | None:
        """The resource, as long as there is one that is not given back and that somebody refers to."""
        return self.find()

    @property
    def borrowed(self) -> bool:
        """Whether the resource belongs to the process that this one was forked from."""
        return self.process != process_number()

    @property
    def status(self) -> ResourceStatus:
        """The one word that users see."""
        if self.allocation is HELD:
            return ResourceStatus(self.usage.value)
        if self.allocation in (FAILED, QUARANTINED):
            return ResourceStatus.ERROR
        if self.allocation is INTENT:
            return ResourceStatus.BLOCKED
        return ResourceStatus.RELEASED

    def labels(self) -> dict[str, str | int]:
        """Return what every event and every span about a lease says of it."""
        return {"kind": self.kind, "resource": self.name, "owner": self.owner, "size": self.size}

    def record(self) -> LeaseRecord:
        """Return a snapshot."""
        return LeaseRecord(
            self.id,
            self.kind,
            self.name,
            self.owner,
            self.size,
            self.acquired_at,
            self.allocation,
            self.status,
            None if self.ends is None else time.time() + self.ends - time.monotonic(),
            self.used_at,
            self.borrowed,
        )
