"""`ProcessPlugin`: what this package contributes to a host."""

from __future__ import annotations

import functools

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_process.metrics import ProcessMetrics
from plugin_process.provider import ProcessProvider


class ProcessPlugin(Plugin):
    """Registers the process provider, and a collector that counts what runs."""

    @functools.cached_property
    def _provider(self) -> ProcessProvider:
        return ProcessProvider(self.settings)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the provider of children and threads."""
        return [self._provider]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collector of how many of them run."""
        return [ProcessMetrics(self._provider)]
