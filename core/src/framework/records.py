"""The frozen records and the closed vocabularies that cross the seam between kernel, plugins and applications."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from framework.frozen import Frozen


class PluginType(enum.Enum):
    """What a plugin is for."""

    PROVIDER = "provider"
    PROCESSOR = "processor"
    STORAGE = "storage"
    MONITOR = "monitor"


class PluginMetadata(Frozen):
    """What a plugin says of itself, by decorator or by manifest.

    `dependencies` holds the hard requirements: names of plugins or of what plugins provide, each with an
    optional version range (`"file"`, `"file.temp"`, `"file>=0.1,<1"`). `entry_point` is `module.Class`.
    """

    name: str
    version: str
    description: str
    author: str
    dependencies: list[str]
    plugin_type: PluginType
    entry_point: str


class PluginState(enum.Enum):
    """How far a plugin got."""

    DISCOVERED = "discovered"  # installed and enabled, not imported yet
    DISABLED = "disabled"  # not enabled by the configuration
    BLOCKED = "blocked"  # something it requires is missing or broken
    LOADED = "loaded"  # imported and instantiated, not started
    ACTIVE = "active"  # started, its contributions registered
    FAILED = "failed"  # broke; the record says in which phase and why
    QUARANTINED = "quarantined"  # took the interpreter down when it was last started
    STOPPED = "stopped"  # was active, cleaned up


class PluginRecord(Frozen):
    """One row of `framework plugins list`: a plugin, its state, and for anything broken the reason."""

    name: str
    version: str
    type: str
    state: PluginState
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    distribution: str = ""
    description: str = ""
    phase: str = ""
    reason: str = ""
    traceback: str = ""
    warnings: tuple[str, ...] = ()


class Health(Frozen):
    """A plugin's own word on whether it works, with what a person should know."""

    healthy: bool
    message: str = ""


class Allocation(enum.Enum):
    """First axis of a lease's state: does it hold something that must be given back?"""

    INTENT = "intent"
    HELD = "held"
    RELEASING = "releasing"
    RELEASED = "released"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class Usage(enum.Enum):
    """Second axis of a lease's state: what is a held resource doing?"""

    AVAILABLE = "available"
    DEPLOYED = "deployed"
    BUSY = "busy"
    BLOCKED = "blocked"
    ERROR = "error"


class ResourceStatus(enum.Enum):
    """The one word that users see: the usage of a held resource, else `error` or `released`."""

    AVAILABLE = "available"
    DEPLOYED = "deployed"
    BUSY = "busy"
    BLOCKED = "blocked"
    ERROR = "error"
    RELEASED = "released"


class Recovery(enum.Enum):
    """How to undo what a process had acquired when it died. A kind that the system takes back by itself has none."""

    UNLINK = "unlink"  # remove a file
    RMTREE = "rmtree"  # remove a directory with all that is in it
    KILL = "kill"  # end every process whose environment has the lease's token
    RMDIR = "rmdir"  # empty and remove a control group
    PROVIDER = "provider"  # have the provider of the kind do it, in its `reclaim`


class LeaseRecord(Frozen):
    """A snapshot of one lease.

    Times are seconds since the epoch, `size` is in bytes. `expires_at` is None for a lease without an end; `used_at` is
    when the resource was last marked or touched. `borrowed` is true in a forked child, for what its parent holds.
    """

    id: int
    kind: str
    name: str
    owner: str
    size: int
    acquired_at: float
    allocation: Allocation
    status: ResourceStatus
    expires_at: float | None = None
    used_at: float = 0.0
    borrowed: bool = False


class JournalRecord(Frozen):
    """One lease as the journal of its process tells it.

    `state` is that of the process: `live`, `dead`, or `damaged` (its journal cannot be read). `held` is false while the
    resource was still being created. `reason` says why it could not be given back so far, `attempts` how often that was
    tried.
    """

    pid: int
    program: str
    state: str
    lease: int
    kind: str
    name: str
    owner: str
    size: int
    acquired_at: float
    held: bool
    verbs: tuple[str, ...]
    paths: tuple[str, ...]
    attempts: int = 0
    reason: str = ""
    journal: str = ""


class Reclamation(Frozen):
    """What became of one lease of a process that died.

    `outcome` is `reclaimed`, `gone` (nothing of it was there any more), `planned` (a dry run would reclaim it),
    `skipped` (it cannot be done from here), `failed` (it is tried again), or `quarantined` (it failed too often, and is
    tried again only when somebody asks for it). `reason` says why.
    """

    pid: int
    program: str
    lease: int
    kind: str
    name: str
    owner: str
    size: int
    outcome: str
    reason: str = ""


class Quota(Frozen):
    """A bound on what is held at once; each is one of its own, whatever it says.

    The kinds that match are bounded together. Without an owner pattern all owners are bounded together, with one each
    matching owner is bounded by itself. Patterns are those of shells: `*`, `?`, `[…]`.
    """

    kinds: tuple[str, ...] = ("*",)
    owner: str = ""
    count: int | None = None
    bytes: int | None = None
    setting: str = ""
    """What to change to raise it, for messages."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class LedgerStatistics(Frozen):
    """Counts since the ledger was made; what begins with `held` is of now. Sizes are in bytes."""

    acquired: int
    released: int
    failed: int
    refused: int
    expired: int
    abandoned: int
    repeated_releases: int
    held: int
    held_bytes: int
    held_by_kind: Mapping[str, int]
    held_by_owner: Mapping[str, int]
    held_bytes_by_kind: Mapping[str, int]
    held_bytes_by_owner: Mapping[str, int]


class Parameter(Frozen):
    """One parameter of a kind, read from the signature of the method that creates it."""

    name: str
    type: str
    required: bool
    default: str = ""


class KindRecord(Frozen):
    """One kind of resource: what it is, who provides it, which parameters a request takes."""

    kind: str
    plugin: str
    description: str
    parameters: tuple[Parameter, ...] = ()


class CleanupOutcome(Frozen):
    """What one participant answered to a cleanup request.

    `claimed_bytes` is its own word; `freed_bytes` is how far this process' resident set fell meanwhile, and
    `group_freed_bytes` how far the use of its control group fell, where one limits it; 0 elsewhere. The group sees
    shared memory and children too, and whatever others in it do at the same time.
    """

    participant: str
    claimed_bytes: int
    duration_s: float
    error: str = ""
    freed_bytes: int = 0
    group_freed_bytes: int = 0


class CleanupReport(Frozen):
    """The outcome of one cleanup request; bytes are measured, as for one participant, over the whole of it."""

    aggressive: bool
    reason: str
    freed_bytes: int
    outcomes: tuple[CleanupOutcome, ...]
    group_freed_bytes: int = 0


class ResourceClass(Frozen):
    """Pooled entities that are alike: what an allocation strategy ranks. Levels run from 1 to 10."""

    type: str
    capabilities: Mapping[str, int] = {}
    labels: Mapping[str, str] = {}
