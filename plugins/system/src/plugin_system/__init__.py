"""What the system, this process and its runtime use, and an application's own metrics and alerts.

The names are resolved on first use, so that the plugin costs the start of a program next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_system.alerts import Alert
    from plugin_system.service import (
        Metrics,
        alert,
        counter,
        gauge,
        histogram,
        metrics,
        system_cpu,
        system_memory,
    )
    from plugin_system.settings import SystemSettings

_HOMES = {"Alert": "alerts", "SystemSettings": "settings"}

__all__ = [
    "Alert",
    "Metrics",
    "SystemSettings",
    "alert",
    "counter",
    "gauge",
    "histogram",
    "metrics",
    "system_cpu",
    "system_memory",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module 'plugin_system' has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(msg)
    import importlib

    value = getattr(importlib.import_module(f"plugin_system.{_HOMES.get(name, 'service')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
