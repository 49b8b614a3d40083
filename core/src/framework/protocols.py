"""The shapes that contributions must have. Any object that fits will do; nothing needs to be inherited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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


@runtime_checkable
class AllocationStrategy(Protocol):
    """Decides which of several fitting resource classes is taken first.

    A strategy ranks classes, once each, and never sees a list of candidates: its cost must not grow with the pool.
    """

    name: str

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the rank of a class; the lowest rank is taken first."""


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
        """Print a mapping, or a list of mappings, in the output format that the user chose."""

    def message(self, text: str) -> None:
        """Print a line for people to standard error."""
