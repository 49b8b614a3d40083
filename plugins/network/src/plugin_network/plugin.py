"""`NetworkPlugin`: what this package contributes to a host."""

from __future__ import annotations

from framework import Plugin, ResourceProvider, hookimpl
from plugin_network.provider import NetworkProvider


class NetworkPlugin(Plugin):
    """Registers the network provider."""

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the provider of connections and sockets."""
        return [NetworkProvider(self.settings)]
