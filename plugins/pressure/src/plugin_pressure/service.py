"""`Pressure`: the service of this plugin, through which a program sees how memory is, and what was decided."""

from __future__ import annotations

from framework.limits import Memory
from plugin_pressure.levels import NAMES, WARNING, Thresholds
from plugin_pressure.monitor import Monitor
from plugin_pressure.records import Decision, State


class Pressure:
    """What is short, and what is done about it. Thread-safe, without a loop.

    Args:
        monitor: Who watches.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    @property
    def level(self) -> str:
        """The level that holds: normal, warning, aggressive or critical."""
        return NAMES[self._monitor.controller.level]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The last decisions, oldest first; the setting `kept_decisions` says how many."""
        return self._monitor.decisions.all()

    def state(self) -> State:
        """Return how it is now, read anew.

        Raises:
            ResourceUnavailableError: This system does not say how much memory is used.
        """
        one, memory, bounds = self._monitor, self._monitor.reader.memory(), self._monitor.thresholds()
        ranges = [f"{enter:g} / {leave:g}" for enter, leave in zip(bounds.enter, bounds.leave, strict=True)]
        return State(
            level=NAMES[self._level(memory, bounds)],
            used=memory.used,
            limit=memory.limit,
            percent=round(memory.percent, 2),
            source=memory.source,
            stalled_percent=one.stalled,
            warning=ranges[0],
            aggressive=ranges[1],
            critical=ranges[2],
            watching=one.watching,
            dry_run=one.options.dry_run,
            paused=one.paused,
            events=one.events,
            wait=round(one.wait, 3),
            rounds=one.decisions.rounds,
            claimed=one.decisions.claimed,
            freed=one.decisions.freed,
            demoted=tuple(sorted(name for name, found in one.rounds.ranking.standings.items() if found.demoted)),
            fault=one.fault,
        )

    def round(self, *, dry_run: bool = False) -> Decision:
        """Do a cleanup round now, as it would be done at this level, or at warning where memory is not short.

        It frees what is used above the value at which the level is left, less 5 % of the limit, and asks nobody if
        nothing is. To have everybody asked whatever is used, use the host's `request_cleanup`.

        Args:
            dry_run: Only say what would be done; always so where the setting `dry_run` is on.

        Raises:
            ResourceUnavailableError: This system does not say how much memory is used.
        """
        one, memory = self._monitor, self._monitor.reader.memory()
        bounds = one.thresholds()
        level = max(WARNING, self._level(memory, bounds))
        reason = f"asked for at {memory.percent:.1f} %, to get below {bounds.leave[level - 1]:g} %"
        return one.rounds.run(one.plan(level, memory, reason), dry_run=dry_run or one.options.dry_run)

    def _level(self, memory: Memory, bounds: Thresholds) -> int:
        """Return the level that holds, or that would, where nobody has looked yet."""
        return self._monitor.controller.level if self._monitor.memory else bounds.reached(memory.percent)
