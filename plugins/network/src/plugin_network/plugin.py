"""`NetworkPlugin`: what this package contributes to a host."""

from __future__ import annotations

from functools import cached_property

from framework import CleanupParticipant, MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_network.collecting import NetworkCollector
from plugin_network.provider import NetworkProvider


class NetworkPlugin(Plugin):
    """Registers the network provider, what it keeps for reuse, and its measurements."""

    @cached_property
    def provider(self) -> NetworkProvider:
        """The one provider, which all hooks are about."""
        return NetworkProvider(self.settings or None)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the provider of connections and sockets."""
        return [self.provider]

    @hookimpl
    def register_cleanup_participants(self) -> list[CleanupParticipant]:
        """Return what gives up idle connections."""
        return [self.provider.idle]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return what counts connections and listeners."""
        return [NetworkCollector(self.provider)]
