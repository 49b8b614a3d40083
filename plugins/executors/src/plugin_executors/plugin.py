"""The plugin: hooks only."""

from __future__ import annotations

import functools

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_executors.collector import ExecutorsCollector
from plugin_executors.provider import ExecutorsProvider


class ExecutorsPlugin(Plugin):
    """Registers the provider of thread and process executors, and its measurements."""

    @functools.cached_property
    def _provider(self) -> ExecutorsProvider:
        return ExecutorsProvider(self.settings)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the provider."""
        return [self._provider]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collector."""
        return [ExecutorsCollector(self._provider)]
