"""`Pace`: how long to wait until the next look: as earlyoom does, headroom over the fastest that memory can fill."""

from __future__ import annotations

SHORTEST = 0.05
LONGEST = 1.0
"""Seconds between two looks while something moves."""
CALM = 10.0
"""Seconds without a move after which everything is quiet."""
MOVE = 0.5
"""Percent of the limit by which use must change to count as a move."""


class Pace:
    """Remembers when the used memory last moved."""

    def __init__(self) -> None:
        self._percent = float("-inf")
        self._moved = float("-inf")

    def observe(self, now: float, percent: float) -> None:
        """Take a reading."""
        if abs(percent - self._percent) >= MOVE:
            self._percent, self._moved = percent, now

    def quiet(self, now: float) -> bool:
        """Return whether nothing has moved for a while."""
        return now - self._moved >= CALM

    def wait(self, now: float, *, headroom: int, fastest: float, interval: float, level: int, armed: bool) -> float:
        """Return the seconds until the next look.

        Args:
            now: Seconds on the clock of `observe`.
            headroom: Bytes that are left.
            fastest: Bytes a second, the most by which use can grow.
            interval: Seconds, the most that are ever waited.
            level: The level that holds.
            armed: Whether the kernel reports when a threshold is crossed meanwhile.
        """
        filled = headroom / fastest
        if level or not self.quiet(now):
            return min(max(filled, SHORTEST), LONGEST, max(interval, SHORTEST))
        return interval if armed else min(max(filled, SHORTEST), interval)
