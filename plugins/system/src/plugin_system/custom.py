"""What applications and plugins count, as collectors: their metrics, their tasks, their alerts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from framework import MetricsManager
from plugin_system.collector import Collector, Measured

if TYPE_CHECKING:
    from plugin_system.service import Metrics


class CustomCollector(Collector):
    """Reports the metrics that were made through a service: `name`, or `name{label=value}` for each series.

    A histogram reports `<name>_count`, `_sum`, `_min` and `_max`.
    """

    noun = "custom"

    def __init__(self, service: Metrics) -> None:
        super().__init__()
        self._service = service

    def _measure(self, measured: Measured) -> None:
        manager = self._service.manager
        for name in self._service.names():
            for labels, value in manager.values(name).items():
                measured[f"{name}{_spelled(labels)}"] = value
            for labels, found in manager.summaries(name).items():
                end = _spelled(labels)
                measured[f"{name}_count{end}"] = found.count
                measured[f"{name}_sum{end}"] = found.total
                measured[f"{name}_min{end}"] = found.minimum
                measured[f"{name}_max{end}"] = found.maximum


class TasksCollector(Collector):
    """Reports what plugins executed (`Framework.execute`): how often, with what success, how long it took."""

    noun = "tasks"

    def __init__(self, manager: MetricsManager) -> None:
        super().__init__()
        self._manager = manager

    def _measure(self, measured: Measured) -> None:
        counts = {labels: value for labels, value in self._manager.values("plugin_operations").items() if _ran(labels)}
        times = [found for labels, found in self._manager.summaries("plugin_duration").items() if _ran(labels)]
        measured["tasks_executions"] = sum(counts.values())
        measured["tasks_failures"] = sum(value for labels, value in counts.items() if ("success", "false") in labels)
        timed = sum(found.count for found in times)
        measured["tasks_latency_seconds"] = sum(found.total for found in times) / timed if timed else 0.0
        measured["tasks_longest_seconds"] = max((found.maximum for found in times), default=0.0)


class AlertsCollector(Collector):
    """Looks at the alerts of a service, and reports how many are raised; to be asked after the other collectors."""

    noun = "alerts"

    def __init__(self, service: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self._service = service

    def _measure(self, measured: Measured) -> None:
        self._service.look(self._clock())
        measured["alerts_raised"] = sum(one["state"] == "raised" for one in self._service.alerts())


def _ran(labels: tuple[tuple[str, str], ...]) -> bool:
    return ("operation", "execute") in labels


def _spelled(labels: tuple[tuple[str, str], ...]) -> str:
    return f"{{{','.join(f'{key}={value}' for key, value in labels)}}}" if labels else ""
