"""`BusyWarning`: notices when the processors that may be used are busy."""

from __future__ import annotations

SHORTEST = 1.0
"""Seconds over which use is measured at least; less says little."""
MARGIN = 5.0
"""Percent below the threshold under which use must fall before it is said again."""


class BusyWarning:
    """Turns readings of the time spent on processors into a warning, once for each time that they get busy."""

    def __init__(self) -> None:
        self._at = float("-inf")
        self._seconds = 0.0
        self._busy = False
        self.percent = 0.0
        """Of the processors that may be used, over the last measured span."""

    def due(self, now: float, every: float) -> bool:
        """Return whether it is time for a reading."""
        return now - self._at >= max(every, SHORTEST)

    def observe(self, now: float, seconds: float, share: float, threshold: float) -> bool:
        """Take a reading, and return whether there is something to say.

        Args:
            now: Seconds on a clock that does not go back.
            seconds: Time spent on processors so far.
            share: How many processors may be kept busy.
            threshold: Percent from which it is said.
        """
        first = self._at == float("-inf")
        if not first and now > self._at and share > 0:
            self.percent = max(0.0, min(100.0, 100 * (seconds - self._seconds) / (now - self._at) / share))
        self._at, self._seconds = now, seconds
        if first:
            return False
        was, self._busy = self._busy, self.percent >= threshold - (MARGIN if self._busy else 0.0)
        return self._busy and not was
