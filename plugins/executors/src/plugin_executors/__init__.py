"""Thread and process pools as resources, sized by what the process may really use.

The names are resolved on first use: every worker process imports this package and must not pay for the provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.limits import cpus as usable_cpus
    from plugin_executors.deaths import Death, WorkerDiedError
    from plugin_executors.manager import ConcurrencyManager
    from plugin_executors.mapping import AsyncTaskMap, Outcome, TaskMap
    from plugin_executors.processes import ProcessExecutor
    from plugin_executors.provider import ExecutorsProvider
    from plugin_executors.settings import ExecutorsSettings
    from plugin_executors.threads import ThreadExecutor

_HOMES = {
    "AsyncTaskMap": "mapping",
    "ConcurrencyManager": "manager",
    "Death": "deaths",
    "ExecutorsProvider": "provider",
    "ExecutorsSettings": "settings",
    "Outcome": "mapping",
    "ProcessExecutor": "processes",
    "TaskMap": "mapping",
    "ThreadExecutor": "threads",
    "WorkerDiedError": "deaths",
    "usable_cpus": "bounds",
}

__all__ = [
    "AsyncTaskMap",
    "ConcurrencyManager",
    "Death",
    "ExecutorsProvider",
    "ExecutorsSettings",
    "Outcome",
    "ProcessExecutor",
    "TaskMap",
    "ThreadExecutor",
    "WorkerDiedError",
    "usable_cpus",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        msg = f"module 'plugin_executors' has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(msg) from None
    import importlib

    value = getattr(importlib.import_module(f"plugin_executors.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
