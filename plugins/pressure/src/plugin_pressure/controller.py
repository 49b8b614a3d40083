"""`Controller`: decides what a reading of the memory means. It has no clock and reads nothing; both are arguments."""

from __future__ import annotations

from framework.limits import Memory
from plugin_pressure.levels import NORMAL, Ladder, Latch, Thresholds
from plugin_pressure.options import Options
from plugin_pressure.pace import Pace
from plugin_pressure.schedule import Schedule

STALL_ON = 10.0
"""Percent of the last 10 seconds in which all work waited for memory, from which the level is raised by one."""
STALL_OFF = 5.0
MOMENT = 0.2
"""Seconds in which a look and a round are done."""


class Controller:
    """The level, the pace, and when rounds are due.

    Args:
        options: The settings of the plugin.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.ladder = Ladder()
        self.pace = Pace()
        self.schedule = Schedule()
        self._stalled = Latch(STALL_ON, STALL_OFF)

    @property
    def level(self) -> int:
        """The level that holds."""
        return self.ladder.level

    def observe(self, now: float, memory: Memory, limits: Thresholds, stalled: float) -> int:
        """Take a reading, and return the level that held before.

        Args:
            now: Seconds on a clock that does not go back.
            memory: What is used, and of what.
            limits: The thresholds of now.
            stalled: Percent of the last 10 seconds in which all work waited for memory.
        """
        self.pace.observe(now, memory.percent)
        return self.ladder.observe(now, memory.percent, limits, stalled=self._stalled.observe(stalled))

    def due(self, now: float, memory: Memory, limits: Thresholds) -> str:
        """Return why a cleanup round is due now, or nothing."""
        return self.schedule.due(now, self.level, memory.percent, limits, self.options.cooldown)

    def urgent(self, now: float, memory: Memory) -> bool:
        """Return whether memory is short, moves, and could be full in a moment."""
        soon = _headroom(memory) < MOMENT * self.options.fastest_fill
        return self.level != NORMAL and soon and not self.pace.quiet(now)

    def wait(self, now: float, memory: Memory, interval: float, *, armed: bool) -> float:
        """Return the seconds until the next reading.

        Args:
            now: Seconds on the clock of `observe`.
            memory: The last reading.
            interval: The setting `resource_management.monitoring_interval`.
            armed: Whether the kernel reports when a threshold is crossed meanwhile.
        """
        return self.pace.wait(
            now,
            headroom=_headroom(memory),
            fastest=self.options.fastest_fill,
            interval=interval,
            level=self.level,
            armed=armed,
        )


def _headroom(memory: Memory) -> int:
    return min(memory.available, max(0, memory.limit - memory.used))


def goal(memory: Memory, level: int, limits: Thresholds, spare: float = 5.0) -> int:
    """Return the most bytes that may be used after a round: the value to leave the level at, less some percent."""
    return int(memory.limit * max(0.0, limits.leave[max(level, 1) - 1] - spare) / 100)
