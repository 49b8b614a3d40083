"""`Gauge`: how many bytes were used between two moments."""

from __future__ import annotations

from framework import limits
from framework.errors import ResourceUnavailableError

NOISE = 1 << 20
"""Bytes by which the resident set may differ without anything having been kept."""


class Gauge:
    """Measures one span after another, by the peak of the resident set and by the use of the control group.

    The peak is that of the process, which is begun anew for each span (`framework.limits.reset_peak`); where that
    cannot be done, the resident set at the end counts. What others in the process or group take meanwhile counts too.

    Args:
        reader: Reads the control group.
    """

    def __init__(self, reader: limits.Reader) -> None:
        self._reader = reader
        self._former = 0
        self._resident = 0
        self._group = 0
        self._peaks = False

    def begin(self) -> None:
        """Begin a span."""
        found = limits.resident_bytes()
        if found > self._former + NOISE:
            limits.trim()  # memory that is free but kept would be used again, and the next span seem to need less
            found = limits.resident_bytes()
        self._former = self._resident = found
        self._peaks = limits.reset_peak()
        self._group = self._of_group()

    def end(self) -> int:
        """Return how many bytes were used since `begin`."""
        most = limits.peak_bytes() if self._peaks else limits.resident_bytes()
        return max(0, most - self._resident, self._of_group() - self._group if self._group else 0)

    def headroom(self) -> int | None:
        """Return how many bytes are free, for this process, its group, and the machine; None where unknown."""
        try:
            return self._reader.memory().available
        except ResourceUnavailableError:
            return self._reader.memory_limit()

    def _of_group(self) -> int:
        """Return what the own group uses; 0 where only the machine limits, because others use that too."""
        try:
            found = self._reader.memory()
        except ResourceUnavailableError:
            return 0
        return 0 if found.source == limits.MACHINE else found.used
