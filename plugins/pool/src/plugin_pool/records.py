"""The frozen records that go into a pool and come out of it, and their closed vocabularies."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from framework import ResourceStatus


class Tier(enum.StrEnum):
    """What a request needs to be met, best first; they compare by that."""

    FREE = "free"
    """Nothing: it can be met now."""
    BUSY = "busy"
    """Time: what it needs is in use and comes back (a task is `paused`)."""
    ERROR = "error"
    """A person: only entities out of service, by an error or drained, would do."""
    IMPOSSIBLE = "impossible"
    """Entities that the pool does not have (a task is in `blocked_review`)."""

    @property
    def severity(self) -> int:
        """Return 0 for the best to 3 for the worst."""
        return _SEVERITY[self]


_SEVERITY = {tier: number for number, tier in enumerate(Tier)}


class ReleaseReason(enum.StrEnum):
    """Why a task gives back what it holds."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PREEMPTED = "preempted"


class AllocationStatus(enum.StrEnum):
    """How far a task is with its allocation."""

    ALLOCATED = "allocated"
    EXECUTING = "executing"
    COMPLETED = "completed"
    BLOCKED = "blocked"
    FAILED = "failed"


class BlockedReason(enum.StrEnum):
    """Why a task is blocked."""

    RESOURCE_SHORTAGE = "resource_shortage"
    DEPENDENCY_NOT_READY = "dependency_not_ready"


@dataclass(frozen=True, slots=True)
class Capability:
    """What an entity can do, and how well: level 1 to 10."""

    type: str
    level: int = 10


@dataclass(frozen=True, slots=True)
class CapabilityRequirement:
    """What an entity must be able to do, at this level (1 to 10) or better."""

    type: str
    min_level: int = 1


_SHOWN = 10
"""So many ids of a requirement are written out."""


@dataclass(frozen=True, slots=True)
class ResourceRequirement:
    """So many different entities of one type, each with all these capabilities and labels.

    Attributes:
        type: The type that they must have; may be empty where `ids` names entities.
        capabilities: What each must be able to do.
        count: How many.
        optional: True to take them only where they are free; then all of them or none.
        labels: Labels that each must have, with these very values.
        ids: The very entities that are meant; then `count` is their number.
    """

    type: str
    capabilities: tuple[CapabilityRequirement, ...] = ()
    count: int = 1
    optional: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        wanted = [f"{one.type} >= {one.min_level}" for one in self.capabilities]
        wanted += [f"{key}={value}" for key, value in self.labels.items()]
        more = f" and {len(self.ids) - _SHOWN:,} more" if len(self.ids) > _SHOWN else ""
        what = ", ".join(self.ids[:_SHOWN]) + more if self.ids else f"{self.count} {self.type}"
        return f"{what} ({', '.join(wanted)})" if wanted else what


@dataclass(frozen=True, slots=True)
class ResourceInstance:
    """An entity of the pool, as it is at the moment.

    Attributes:
        capacity: How many tasks may use it at once; a task uses an entity once.
        tasks: The tasks that hold it.
        draining: True when it is given to nobody any more.
    """

    id: str
    type: str
    name: str = ""
    capabilities: tuple[Capability, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: int = 1
    status: ResourceStatus = ResourceStatus.AVAILABLE
    tasks: tuple[str, ...] = ()
    draining: bool = False


class CheckResult(NamedTuple):
    """Whether a request could be met now. True where it could.

    Attributes:
        missing_resources: What is lacking, each with the number of entities that are lacking as its `count`.
        available_resources: The entities that an allocation would take now; records are made when they are looked at.
        tier: What it would take to meet the request.
    """

    satisfied: bool
    missing_resources: tuple[ResourceRequirement, ...]
    available_resources: Sequence[ResourceInstance]
    tier: Tier

    def __bool__(self) -> bool:
        return self.satisfied


class AllocationResult(NamedTuple):
    """What became of an allocation. True where it succeeded.

    Attributes:
        allocated_resources: Ids of the entities that the task now holds.
        error: One sentence, where it failed.
        missing_resources: As in `CheckResult`.
        tier: As in `CheckResult`.
        epoch: Number of this allocation, never used again; a release that names it can release no other.
    """

    success: bool
    allocated_resources: tuple[str, ...] = ()
    error: str = ""
    missing_resources: tuple[ResourceRequirement, ...] = ()
    tier: Tier = Tier.FREE
    epoch: int = 0

    def __bool__(self) -> bool:
        return self.success


@dataclass(frozen=True, slots=True)
class TaskResourceAllocation:
    """What a task holds; times are seconds since the epoch, `expires_in` is in seconds."""

    task_id: str
    allocated_resources: tuple[str, ...]
    status: AllocationStatus
    blocked_reason: BlockedReason | None = None
    since: float = 0.0
    expires_in: float | None = None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class StatusReport:
    """How many entities there are in all, and with each status; `waiting` counts tasks in the queue.

    An entity that several tasks share is `busy` when one of them executes, else `deployed` when one is about to.
    """

    total_resources: int = 0
    available: int = 0
    deployed: int = 0
    busy: int = 0
    blocked: int = 0
    error: int = 0
    released: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One capability of the entities of one type.

    Attributes:
        total: Entities that have it.
        available: Those that can be had now.
        lowest: The lowest level among all that have it; 0 where there is none.
        highest: The highest level.
        typical: True when the type is predefined with this capability.
    """

    type: str
    capability: str
    total: int = 0
    available: int = 0
    lowest: int = 0
    highest: int = 0
    typical: bool = False
