"""The shapes that contributions must have. Any object that fits will do; nothing needs to be inherited."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from framework.admission import Admission
    from framework.cleanup import Answer, Cleaner
    from framework.ledger import Ledger
    from framework.metering import Meter, Source
    from framework.records import ResourceClass
    from framework.settings import Settings


@runtime_checkable
class CleanupParticipant(Protocol):
    """Gives something back when a cleanup is requested."""

    name: str
    # An attribute `cost` (a number, 1.0 where there is none) may say how dear it is to build again what is given back.

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        """Free what can be spared and return the number of bytes believed to be freed.

        Args:
            aggressive: True when caches that are expensive to rebuild should go as well.
            reason: Why the cleanup was requested, for logs.
        """


@runtime_checkable
class MetricsCollector(Protocol):
    """Reports measurements."""

    name: str

    def collect(self) -> Mapping[str, float]:
        """Return the measurements of now by name; must not block."""


class Member(Hashable, Protocol):
    """A pooled entity, as a bag sees it; always the same object for the same entity."""

    @property
    def id(self) -> str:
        """The name of the entity."""

    @property
    def load(self) -> int:
        """How many tasks hold it now."""


class Bag(Protocol):
    """The entities of one resource class that have room, in the order in which a strategy takes them.

    Each method takes the same time however many entities there are, or grows with their logarithm.
    """

    def push(self, member: Member) -> None:
        """Take in an entity that is not here: it is new, or has room again, or its load or its scores changed."""

    def pop(self) -> Member:
        """Give the entity that is to be taken next, which leaves; there is one."""

    def discard(self, member: Member) -> None:
        """Let an entity go that is here: it was taken by name, or is out of service."""

    def key(self) -> float:
        """Return how dear the next one is: between classes of equal rank the least is taken. There is a next one."""


class Hint(NamedTuple):
    """What a strategy would like for one task; what the task requires always comes first."""

    prefer: tuple[str, ...] = ()
    """Names of entities to take if they will do and have room, the best first."""
    near: Mapping[str, str] = {}
    """Labels: classes that have them all come before others."""
    avoid: Mapping[str, frozenset[str]] = {}
    """Values of labels: classes that have one of them come last."""


@runtime_checkable
class AllocationStrategy(Protocol):
    """Decides which of several fitting resource classes is taken first, and if it likes which of their entities.

    A strategy ranks classes, once each, and never sees a list of candidates: its cost must not grow with the pool.
    """

    name: str

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the rank of a class; the lowest rank is taken first."""

    # Besides it may have any of these methods; the pool calls them under its lock, so they must not call the pool:
    #   bag(resource_class) -> Bag             what the entities of a class are kept in, asked for once for each class
    #   hint(task_id) -> Hint | None           what it would like for a task that is about to be served
    #   granted(task_id, members)              a task was given these entities (`Sequence[Member]`)
    #   released(task_id, members)             and gave these back
    #   scored(member, scores)                 somebody measured something of an entity (`Mapping[str, float]`, for
    #                                          instance `cpu` and `memory` from 0 to 1); it is pushed again afterwards
    #   removed(member)                        an entity is gone for good: forget it


class Host(Protocol):
    """What a plugin that acts by itself finds in `Plugin.host`: the `Framework` that runs it."""

    settings: Settings
    """The configuration. Values of `resource_management` may change: read them when they are needed."""
    ledger: Ledger
    """Who holds what."""
    hooks: Any
    """The `Hooks`, as in `Plugin.hooks`."""
    meter: Meter
    """Collectors and sources of measurements, and what they measured last."""
    cleaner: Cleaner
    """The cleanup participants, and who asks them."""
    admission: Admission
    """Lets acquisitions wait while there is no room."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What all collectors and sources measured last, by name."""

    def add_metrics_source(self, name: str, source: Source) -> Callable[[], None]:
        """Have a function asked at each update; return what ends that."""

    def add_cleanup_participant(self, name: str, answer: Answer) -> Callable[[], None]:
        """Have a function called at each cleanup; return what ends that."""

    async def service(self, name: str) -> object:
        """Return the service of that name."""

    def strategies(self) -> Mapping[str, AllocationStrategy]:
        """Return the allocation strategies that active plugins have registered, by name."""

    def state_directory(self, name: str) -> str:
        """Return the private directory for what `name` must keep between runs, under `$XDG_STATE_HOME`."""


class CommandContext(Protocol):
    """What a plugin's command finds in `click.Context.obj`."""

    @property
    def interactive(self) -> bool:
        """True when messages go to a terminal, so that bars and colours are welcome."""

    @property
    def format(self) -> str:
        """How the user wants results: `table`, `json`, `ndjson` or `yaml`."""

    def open(self) -> AbstractAsyncContextManager[Any]:
        """Return a host made from the command line's configuration, to be entered with `async with`."""

    def emit(self, data: object, *, columns: tuple[str, ...] = ()) -> None:
        """Print a mapping, or mappings of a list or an iterator, which is never held, in the format the user chose."""

    def message(self, text: str) -> None:
        """Print a line for people to standard error."""
