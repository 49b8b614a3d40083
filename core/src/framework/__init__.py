"""A plugin-first runtime for everything scarce that a Python application uses.

The public names below are resolved on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from typing import Any

    from framework.hookspecs import hookimpl, hookspec
    from framework.host import Framework
    from framework.ledger import Ledger
    from framework.manager import ResourceManager
    from framework.plugins import Plugin, PluginContextManager, PluginManager, plugin
    from framework.protocols import (
        AllocationStrategy,
        Bag,
        CleanupParticipant,
        CommandContext,
        Hint,
        Host,
        Member,
        MetricsCollector,
    )
    from framework.records import (
        LeaseRecord,
        PluginMetadata,
        PluginState,
        PluginType,
        Quota,
        Recovery,
        ResourceClass,
        ResourceStatus,
        Usage,
    )
    from framework.requests import check_size
    from framework.resources import Resource, ResourceProvider, creates
    from framework.telemetry import MetricsManager, PluginMonitor, get_logger

__version__ = "0.1.0"

PLUGIN_API = 1
"""Version of the plugin interface. It rises only when a plugin written for the former number would break."""

_HOMES = {
    "AllocationStrategy": "protocols",
    "Bag": "protocols",
    "CleanupParticipant": "protocols",
    "CommandContext": "protocols",
    "Framework": "host",
    "Hint": "protocols",
    "Host": "protocols",
    "LeaseRecord": "records",
    "Ledger": "ledger",
    "Member": "protocols",
    "MetricsCollector": "protocols",
    "MetricsManager": "telemetry",
    "Plugin": "plugins",
    "PluginContextManager": "plugins",
    "PluginManager": "plugins",
    "PluginMetadata": "records",
    "PluginMonitor": "telemetry",
    "PluginState": "records",
    "PluginType": "records",
    "Quota": "records",
    "Recovery": "records",
    "Resource": "resources",
    "ResourceClass": "records",
    "ResourceManager": "manager",
    "ResourceProvider": "resources",
    "ResourceStatus": "records",
    "Usage": "records",
    "check_size": "requests",
    "creates": "resources",
    "get_logger": "telemetry",
    "hookimpl": "hookspecs",
    "hookspec": "hookspecs",
    "plugin": "plugins",
}

__all__ = [
    "AllocationStrategy",
    "Bag",
    "CleanupParticipant",
    "CommandContext",
    "Framework",
    "Hint",
    "Host",
    "LeaseRecord",
    "Ledger",
    "Member",
    "MetricsCollector",
    "MetricsManager",
    "Plugin",
    "PluginContextManager",
    "PluginManager",
    "PluginMetadata",
    "PluginMonitor",
    "PluginState",
    "PluginType",
    "Quota",
    "Recovery",
    "Resource",
    "ResourceClass",
    "ResourceManager",
    "ResourceProvider",
    "ResourceStatus",
    "Usage",
    "check_size",
    "creates",
    "get_logger",
    "hookimpl",
    "hookspec",
    "plugin",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        msg = f"module 'framework' has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(msg) from None
    import importlib

    value = getattr(importlib.import_module(f"framework.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
