"""The hook of the plugin `strategies`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import plugin_strategies
from framework import Plugin, hookimpl
from plugin_strategies.defaults import Defaults
from plugin_strategies.late import Late

if TYPE_CHECKING:
    from framework import AllocationStrategy

CLASSES: Mapping[str, str] = {
    "affinity": "Affinity",
    "best_fit": "BestFit",
    "first_fit": "FirstFit",
    "least_connections": "LeastConnections",
    "priority": "Priority",
    "resource_based": "ResourceBased",
    "round_robin": "RoundRobin",
    "two_choices": "TwoChoices",
}
"""The class of each strategy."""


class StrategiesPlugin(Plugin):
    """Registers the strategies."""

    settings: Any = Defaults()

    @hookimpl
    def register_allocation_strategies(self) -> list[Late]:
        """Return one of each, to be made when it is used."""
        return [Late(name, functools.partial(self._make, name)) for name in CLASSES]

    def _make(self, name: str) -> AllocationStrategy:
        given = getattr(self.settings, name, {})
        made: AllocationStrategy = getattr(plugin_strategies, CLASSES[name])(**given)
        return made
