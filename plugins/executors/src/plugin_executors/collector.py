"""Measurements of the executors that are lent now."""

from __future__ import annotations

from collections.abc import Mapping

from plugin_executors.manager import ConcurrencyManager
from plugin_executors.provider import ExecutorsProvider


class ExecutorsCollector:
    """Reports the workers, and the running and pending tasks, of each kind of executor and of the manager's pools.

    Args:
        provider: Whose executors are counted.
        manager: Whose pools are; none where there is no manager.
    """

    name = "executors"

    def __init__(self, provider: ExecutorsProvider, manager: ConcurrencyManager | None = None) -> None:
        self._provider = provider
        self._manager = manager

    def collect(self) -> Mapping[str, float]:
        """Return the sums over all executors of a kind, and what the manager's pools have."""
        sums = {f"framework_{kind}_{what}": 0.0 for kind in _KINDS.values() for what in _COUNTS}
        for executor in self._provider.executors():
            for what in _COUNTS:
                sums[f"framework_{_KINDS[executor.kind]}_{what}"] += getattr(executor, what)
        return sums if self._manager is None else sums | self._manager.metrics()


_KINDS = {"executor.thread": "executor_thread", "executor.process": "executor_process"}
_COUNTS = ("workers", "running", "pending")
