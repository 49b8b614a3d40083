"""The plugin: hooks only."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_executors.collector import ExecutorsCollector
from plugin_executors.manager import ConcurrencyManager
from plugin_executors.outcome import in_daemon_thread, outcome
from plugin_executors.provider import ExecutorsProvider


class ExecutorsPlugin(Plugin):
    """Registers the provider of thread and process executors, the manager of concurrency, and their measurements."""

    @functools.cached_property
    def _provider(self) -> ExecutorsProvider:
        return ExecutorsProvider(self.settings)

    @functools.cached_property
    def _manager(self) -> ConcurrencyManager:
        host = self.host
        return ConcurrencyManager(self.settings, None if host is None else lambda name: host.settings.get(name))

    @hookimpl
    def register_services(self) -> Mapping[str, object]:
        """Return the manager."""
        return {"concurrency_manager": self._manager}

    @hookimpl(optionalhook=True)
    def pressure_changed(self, level: str) -> None:
        """Halve adaptive pools while memory is short."""
        self._manager.relieve(until_better=level in {"aggressive", "critical"})

    async def cleanup(self) -> None:
        """Close the manager's pools."""
        closed, _ = in_daemon_thread(self._manager.close, "concurrency-close")
        await outcome(closed)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the provider."""
        return [self._provider]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collector."""
        return [ExecutorsCollector(self._provider, self._manager)]
