"""`NetworkCollector`: how many connections there are, and how many are used again."""

from __future__ import annotations

from plugin_network.provider import NetworkProvider


class NetworkCollector:
    """Reports what a provider has open."""

    name = "network"

    def __init__(self, provider: NetworkProvider) -> None:
        self._provider = provider

    def collect(self) -> dict[str, float]:
        """Return the counts of now, and how often a connection was lent again since the start."""
        held = self._provider.ledger.statistics().held_by_kind
        return {
            "framework_network_connections": float(held.get("network.tcp", 0)),
            "framework_network_sockets": float(held.get("network.socket", 0)),
            "framework_network_accepted": float(self._provider.accepted),
            "framework_network_idle": float(len(self._provider.idle)),
            "framework_network_reused": float(self._provider.idle.reused),
        }
