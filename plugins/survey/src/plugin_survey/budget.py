"""`Budget`: how the memory that a survey may take is shared out among its processes.

Nothing is guessed: what this process and each worker take before they work is measured (`tree_memory`), and what is
left is divided. Each worker then limits itself to its part, as `inspection.confine` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework.errors import ResourceLimitError
from plugin_survey.formats import Bounds

MIB = 1 << 20
LEAST_RESERVE = 20 * MIB
"""Bytes that this process may come to need beyond what it has at first: the database, and what workers hand back."""
LEAST_HEADROOM = 12 * MIB
"""Bytes that a worker must be able to take for what it looks into."""
SPARED = 0.97
"""Part of the budget that is shared out; the rest is for what is not measured at the right moment."""
CACHE = 32 * MIB
"""Most bytes of the database that are kept in memory."""
TIGHT = 0.92
"""Part of the budget from which on no batch is begun beside another one."""


@dataclass(frozen=True, slots=True)
class Confines:
    """What the inspection may take.

    Attributes:
        headroom: Bytes that a worker may take beyond what it has at first; None for as many as there are.
        text: Characters of text after which a batch is handed back.
        bounds: What one file may cost.
        last: Whether there is no more to be had, so that what it does not suffice for has failed.
    """

    headroom: int | None = None
    text: int = 4 * MIB
    bounds: Bounds = field(default_factory=Bounds)
    last: bool = False

    @property
    def share(self) -> int | None:
        """Bytes that a batch may take; the other half is for a single large file."""
        return self.headroom // 2 if self.headroom is not None else None


@dataclass(frozen=True, slots=True)
class Budget:
    """So many bytes for all processes of a survey together; None for as many as there are."""

    limit: int | None = None

    @property
    def reserve(self) -> int:
        """Bytes kept for this process."""
        return max(LEAST_RESERVE, self.limit // 8) if self.limit is not None else 0

    @property
    def cache(self) -> int:
        """Bytes of the database that are kept in memory."""
        return min(CACHE, self.reserve // 4) if self.limit is not None else CACHE

    def check(self, used: int) -> None:
        """Refuse a budget that this process alone would exceed.

        Args:
            used: Bytes that it has now.

        Raises:
            ResourceLimitError: It is too small.
        """
        if self.limit is not None and self.limit < used + self.reserve:
            raise _too_small(self.limit, used + self.reserve)

    def confines(self, used: int, workers: list[int]) -> Confines:
        """Return what each worker may take.

        Args:
            used: Bytes that this process has now, or is known to come to.
            workers: Bytes that each of them has now.

        Raises:
            ResourceLimitError: The budget is too small for these workers.
        """
        if self.limit is None:
            return Confines()
        headroom = int(self.limit * SPARED - used - sum(workers)) // len(workers)
        if headroom < LEAST_HEADROOM:
            raise _too_small(self.limit, int((used + sum(workers) + LEAST_HEADROOM * len(workers)) / SPARED) + 1)
        usual = Bounds()
        bounds = Bounds(
            text_bytes=min(usual.text_bytes, headroom // 16), piece_bytes=min(usual.piece_bytes, headroom // 16)
        )
        return Confines(headroom, min(Confines().text, headroom // 16), bounds)

    def tight(self, used: int) -> bool:
        """Return whether so little is left that no batch should be begun beside another one."""
        return self.limit is not None and used > self.limit * TIGHT


def _too_small(limit: int, needed: int) -> ResourceLimitError:
    return ResourceLimitError(
        f"A survey with these options needs {-(-needed // MIB)} MiB, and --max-memory allows {limit / MIB:.3g} MiB.",
        "Raise --max-memory, or leave out --check and --index, which need worker processes.",
    )
