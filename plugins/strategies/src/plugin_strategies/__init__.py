"""Allocation strategies for pools: which of several entities that will do is taken.

The names are resolved on first use, so that the plugin costs the start of a program next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_strategies.affinity import Affinity
    from plugin_strategies.fits import BestFit, FirstFit
    from plugin_strategies.least_connections import LeastConnections
    from plugin_strategies.priority import Priority
    from plugin_strategies.resource_based import ResourceBased
    from plugin_strategies.round_robin import RoundRobin
    from plugin_strategies.rule import Rule
    from plugin_strategies.two_choices import TwoChoices

_HOMES = {
    "Affinity": "affinity",
    "BestFit": "fits",
    "FirstFit": "fits",
    "LeastConnections": "least_connections",
    "Priority": "priority",
    "ResourceBased": "resource_based",
    "RoundRobin": "round_robin",
    "Rule": "rule",
    "TwoChoices": "two_choices",
}

__all__ = [
    "Affinity",
    "BestFit",
    "FirstFit",
    "LeastConnections",
    "Priority",
    "ResourceBased",
    "RoundRobin",
    "Rule",
    "TwoChoices",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
