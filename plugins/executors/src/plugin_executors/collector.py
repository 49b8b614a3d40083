"""Measurements of the executors that are lent now."""

from __future__ import annotations

from collections.abc import Mapping

from plugin_executors.provider import ExecutorsProvider


class ExecutorsCollector:
    """Reports the workers, and the running and pending tasks, of each kind of executor."""

    name = "executors"

    def __init__(self, provider: ExecutorsProvider) -> None:
        self._provider = provider

    def collect(self) -> Mapping[str, float]:
        """Return the sums over all executors of a kind."""
        sums = {f"framework_{kind}_{what}": 0.0 for kind in _KINDS.values() for what in _COUNTS}
        for executor in self._provider.executors():
            for what in _COUNTS:
                sums[f"framework_{_KINDS[executor.kind]}_{what}"] += getattr(executor, what)
        return sums


_KINDS = {"executor.thread": "executor_thread", "executor.process": "executor_process"}
_COUNTS = ("workers", "running", "pending")
