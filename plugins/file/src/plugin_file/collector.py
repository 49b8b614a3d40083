"""What the file plugin measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework import ResourceProvider

SIZED = ("file.local", "file.temp")
"""The kinds that reserve bytes, and count against the cap; reported from the start even while nothing is held."""

DIRECTORY = "file.directory"


class FileCollector:
    """Measures what a provider's ledger holds.

    Args:
        provider: Whose.
    """

    name = "file"

    def __init__(self, provider: ResourceProvider) -> None:
        self._provider = provider

    def collect(self) -> Mapping[str, float]:
        """Return `framework_file_<kind>_resources` for each kind, and `…_bytes` for those that reserve any."""
        held = self._provider.ledger.statistics()
        measured: dict[str, float] = {}
        for kind in (*SIZED, DIRECTORY):
            noun = kind.rpartition(".")[2]
            if kind in SIZED:
                measured[f"framework_file_{noun}_bytes"] = held.held_bytes_by_kind.get(kind, 0)
            measured[f"framework_file_{noun}_resources"] = held.held_by_kind.get(kind, 0)
        return measured
