"""The hooks of the memory plugin."""

from __future__ import annotations

from functools import cached_property

from framework import CleanupParticipant, MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_memory.collector import CacheParticipant, MemoryCollector
from plugin_memory.manager import MemoryManager
from plugin_memory.provider import MemoryProvider


class MemoryPlugin(Plugin):
    """Registers the memory provider, what it holds as measurements, and its caches as what can be given back."""

    @cached_property
    def provider(self) -> MemoryProvider:
        """The one provider, which all hooks are about."""
        return MemoryProvider(max_bytes=self.settings.max_bytes if self.settings else None)

    @cached_property
    def manager(self) -> MemoryManager:
        """The one service, which chooses sizes of batches."""
        return MemoryManager()

    async def cleanup(self) -> None:
        """Close what the service reads."""
        self.manager.close()

    @hookimpl
    def register_services(self) -> dict[str, object]:
        """Return the service `memory_manager`."""
        return {"memory_manager": self.manager}

    @hookimpl(optionalhook=True)
    def pressure_changed(self, level: str, former: str) -> None:
        """Have batches smaller when memory gets short; the plugin `pressure` says so, where there is one."""
        self.manager.pressure_changed(level, former)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the memory provider."""
        return [self.provider]

    @hookimpl
    def register_cleanup_participants(self) -> list[CleanupParticipant]:
        """Return what shrinks the provider's caches."""
        return [CacheParticipant(self.provider)]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return what measures the provider's memory."""
        return [MemoryCollector(self.provider)]
