"""What the plugin measures of itself, and of the memory that it watches."""

from __future__ import annotations

from collections.abc import Mapping

from plugin_pressure.monitor import Monitor


class PressureCollector:
    """Reports the last reading and the totals.

    Args:
        monitor: Who watches.
    """

    name = "pressure"

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Mapping[str, float]:
        """Return the level as a number, 0 for normal to 3 for critical; bytes; counts since the start; seconds."""
        one, memory = self._monitor, self._monitor.memory
        return {
            "framework_pressure_level": one.controller.level,
            "framework_pressure_used_bytes": memory.used if memory else 0,
            "framework_pressure_limit_bytes": memory.limit if memory else 0,
            "framework_pressure_paused": int(one.paused),
            "framework_pressure_rounds": one.decisions.rounds,
            "framework_pressure_claimed_bytes": one.decisions.claimed,
            "framework_pressure_freed_bytes": one.decisions.freed,
            "framework_pressure_demoted": sum(found.demoted for found in one.rounds.ranking.standings.values()),
            "framework_pressure_ticks": one.ticks,
            "framework_pressure_cpu_seconds": one.cost,
        }
