"""The hook of the plugin `strategies`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from framework import AllocationStrategy, Plugin, hookimpl
from plugin_strategies.affinity import Affinity
from plugin_strategies.defaults import Defaults
from plugin_strategies.fits import BestFit, FirstFit
from plugin_strategies.least_connections import LeastConnections
from plugin_strategies.priority import Priority
from plugin_strategies.resource_based import ResourceBased
from plugin_strategies.round_robin import RoundRobin
from plugin_strategies.two_choices import TwoChoices

CONFIGURABLE: Mapping[str, Callable[..., AllocationStrategy]] = {
    one.name: one for one in (Affinity, Priority, ResourceBased, TwoChoices)
}
"""The strategies whose arguments the configuration may give."""


class StrategiesPlugin(Plugin):
    """Registers the strategies."""

    settings: Any = Defaults()

    @hookimpl
    def register_allocation_strategies(self) -> list[AllocationStrategy]:
        """Return one of each."""
        given = [make(**getattr(self.settings, name)) for name, make in CONFIGURABLE.items()]
        return [FirstFit(), BestFit(), RoundRobin(), LeastConnections(), *given]
