"""The shapes that contributions must have. Any object that fits will do; nothing needs to be inherited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from framework.records import ResourceClass


@runtime_checkable
class CleanupParticipant(Protocol):
    """Gives something back when a cleanup is requested."""

    name: str

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
