"""`Schedule`: when the next cleanup round is due, so that a level that cannot be left does not make rounds spin."""

from __future__ import annotations

from typing import NamedTuple

from plugin_pressure.levels import NAMES, NORMAL, Thresholds

GROWTH = 5.0
"""Percent of the limit by which use must have grown since a round that did not help to be worth another at once."""
LONGEST_FACTOR = 16
"""How many times the cooldown is the longest between two rounds that do not help."""


class Ended(NamedTuple):
    """How the last round ended: at which level, at how many percent, when, and whether it freed what was needed."""

    level: int
    percent: float
    at: float
    met: bool


class Schedule:
    """Remembers the last round of an episode of pressure."""

    def __init__(self) -> None:
        self._last: Ended | None = None
        self._factor = 1

    def due(self, now: float, level: int, percent: float, limits: Thresholds, cooldown: float) -> str:
        """Return why a round is due now, or nothing.

        Args:
            now: Seconds on a clock that does not go back.
            level: The level that holds.
            percent: How much of the limit is used.
            limits: The thresholds of now.
            cooldown: Seconds between two rounds of which the first did not help.
        """
        if level == NORMAL:
            self._last, self._factor = None, 1
            return ""
        if percent < limits.leave[level - 1]:
            return ""  # what is needed is there; the level is left when that lasts
        last = self._last
        if last is None or level > last.level:
            return f"{NAMES[level]} was reached"
        if last.met and percent >= limits.enter[level - 1]:
            return f"use came back to {limits.enter[level - 1]:g} %"
        if not last.met and percent >= last.percent + GROWTH:
            return f"use grew by {percent - last.percent:.0f} % since the last round"
        if now >= last.at + cooldown * self._factor:
            return f"still {NAMES[level]} {now - last.at:.0f} s after the last round"
        return ""

    def ended(self, now: float, level: int, percent: float, *, met: bool, helped: bool) -> None:
        """Remember a round; each that did not help doubles the time to the next one."""
        self._last = Ended(level, percent, now, met)
        self._factor = 1 if helped else min(2 * self._factor, LONGEST_FACTOR)
