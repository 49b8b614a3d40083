"""The hooks of the memory plugin."""

from __future__ import annotations

from functools import cached_property

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_memory.provider import MemoryProvider


class MemoryPlugin(Plugin):
    """Registers the memory provider and what it holds as measurements."""

    @cached_property
    def provider(self) -> MemoryProvider:
        """The one provider, which both hooks are about."""
        return MemoryProvider(max_bytes=self.settings.max_bytes if self.settings else None)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the memory provider."""
        return [self.provider]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return what counts the bytes that the provider holds."""
        return [self.provider.holdings]
