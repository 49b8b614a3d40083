"""`Ladder`: which level of pressure holds, with separate values to enter and to leave each, and damping.

Nothing here reads a clock or a file. The scheme is the kubelet's (thresholds, a time that must pass before a condition
counts as gone); a rise is never damped where memory is really about to run out.
"""

from __future__ import annotations

from typing import NamedTuple

from framework.errors import SettingsError

NORMAL, WARNING, AGGRESSIVE, CRITICAL = range(4)
NAMES = ("normal", "warning", "aggressive", "critical")
"""The levels as others see them, least first."""

TICKS = 3
"""Readings in a row that must allow a level to be left."""
SECONDS = 5.0
"""For how long they must, and how long a level that was just left is not entered again by a little."""


class Thresholds(NamedTuple):
    """Percent of the limit at which warning, aggressive and critical are entered, and below which they are left."""

    enter: tuple[float, float, float]
    leave: tuple[float, float, float]

    def reached(self, percent: float) -> int:
        """Return the highest level that is entered at so many percent."""
        return sum(percent >= one for one in self.enter)

    def kept(self, level: int, percent: float) -> int:
        """Return what is left of a level at so many percent."""
        while level and percent < self.leave[level - 1]:
            level -= 1
        return level

    def beyond(self, level: int) -> float:
        """Return the percent from which a level is certain: half-way to the next one, or to the limit."""
        following = self.enter[level] if level < CRITICAL else 100.0
        return (self.enter[level - 1] + following) / 2


def thresholds(enter: tuple[float, float, float], margins: tuple[float, float, float]) -> Thresholds:
    """Return thresholds that are left so many percent below where they are entered.

    Raises:
        SettingsError: They are not in order.
    """
    warning, aggressive, critical = enter
    if not warning < aggressive < critical:
        raise SettingsError(
            f"The thresholds of memory are warning {warning:g} %, aggressive {aggressive:g} % and critical"
            f" {critical:g} %; each must be above the one before.",
            "Change resource_management.warning_threshold_memory, resource_management.aggressive_threshold_memory or"
            " plugins.pressure.critical_threshold.",
            plugin="pressure",
        )
    left = [max(0.0, one - margin) for one, margin in zip(enter, margins, strict=True)]
    return Thresholds(enter, (left[0], left[1], left[2]))


class Ladder:
    """The level that holds. It rises at once and falls slowly."""

    def __init__(self) -> None:
        self.level = NORMAL
        self._below_since: float | None = None
        self._below_ticks = 0
        self._needed = NORMAL
        self._fell = float("-inf")

    def observe(self, now: float, percent: float, limits: Thresholds, *, stalled: bool = False) -> int:
        """Take a reading, and return the level that held before it.

        Args:
            now: Seconds on a clock that does not go back.
            percent: How much of the limit is used.
            limits: The thresholds of now.
            stalled: Whether work waits for memory; it raises what the reading says by one level.
        """
        former = self.level
        reached = min(CRITICAL, limits.reached(percent) + stalled)
        kept = min(CRITICAL, limits.kept(self.level, percent) + stalled)
        if reached > self.level:
            if not self._is_noise(now, percent, reached, limits):
                self.level = reached
            self._below_since = None
        elif kept >= self.level:
            self._below_since = None
        else:
            self._sink(now, kept)
        return former

    def _is_noise(self, now: float, percent: float, reached: int, limits: Thresholds) -> bool:
        """Return whether a rise only takes back a fall that was a moment ago."""
        recent = now - self._fell < SECONDS
        return recent and reached == self.level + 1 and percent < limits.beyond(reached)

    def _sink(self, now: float, kept: int) -> None:
        if self._below_since is None:
            self._below_since, self._below_ticks, self._needed = now, 0, NORMAL
        self._below_ticks += 1
        self._needed = max(self._needed, kept)
        if self._below_ticks >= TICKS and now - self._below_since >= SECONDS:
            self.level, self._below_since, self._fell = self._needed, None, now


class Latch:
    """A condition that begins above one value and ends below another."""

    def __init__(self, on: float, off: float) -> None:
        self._on = on
        self._off = off
        self.holds = False

    def observe(self, value: float) -> bool:
        """Take a value, and return whether the condition holds."""
        self.holds = value > self._on or (self.holds and value >= self._off)
        return self.holds
