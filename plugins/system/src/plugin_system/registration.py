"""`Registration`: the collectors of one host, and the service that they feed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from plugin_system.collector import Collector, Deferred
from plugin_system.runtime import RuntimeCollector
from plugin_system.service import metrics

if TYPE_CHECKING:
    from plugin_system.defaults import Defaults
    from plugin_system.settings import SystemSettings


class Registration:
    """Makes the collectors, and starts and stops what runs besides.

    Args:
        settings: Of the plugin.
        elsewhere: Returns what all collectors of the host measured last.
    """

    def __init__(self, settings: SystemSettings | Defaults, elsewhere: Callable[[], Mapping[str, float]]) -> None:
        self.service = metrics
        self._settings = settings
        self._elsewhere = elsewhere
        self._runtime = RuntimeCollector()
        makers: dict[str, Callable[[], Collector]] = {
            "system": lambda: self.service.system,
            "process": self._process,
            "runtime": lambda: self._runtime,
            "network": self._network,
            "disk": self._disk,
            "tasks": self._tasks,
            "custom": self._custom,
            "alerts": self._alerts,
        }
        self.collectors = [Deferred(noun, make) for noun, make in makers.items()]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Time the garbage collection, and watch the alerts of the configuration."""
        self._runtime.start(loop)
        self.service.attach(self.collectors, self._elsewhere)
        for name, definition in self._settings.alerts.items():
            self.service.alert(name, definition)

    def stop(self) -> None:
        """Undo what `start` did; stopping twice does nothing more."""
        self._runtime.stop()
        for name in self._settings.alerts:
            self.service.clear_alert(name)
        self.service.detach(self.collectors)
        for collector in self.collectors:
            collector.close()

    def _process(self) -> Collector:
        from plugin_system.process import ProcessCollector

        return ProcessCollector(self.service.system.capacity)

    def _network(self) -> Collector:
        from plugin_system.network import NetworkCollector

        return NetworkCollector()

    def _disk(self) -> Collector:
        from plugin_system.disk import DiskCollector

        return DiskCollector(self._settings.disk_path)

    def _tasks(self) -> Collector:
        from plugin_system.custom import TasksCollector

        return TasksCollector(self.service.manager)

    def _custom(self) -> Collector:
        from plugin_system.custom import CustomCollector

        return CustomCollector(self.service)

    def _alerts(self) -> Collector:
        from plugin_system.custom import AlertsCollector

        return AlertsCollector(self.service)
