"""What plugin authors test with: conformance suites, fixtures, a reference plugin, and plugins that break.

    PluginContract                            for the installed plugin, as the host runs it
    ProviderContract                          for a provider alone
    ParticipantContract, CollectorContract, StrategyContract      for the other contributions
    framework.testing.pytest_plugin           fixtures: framework_host, dummy_plugin, leak_check
    broken_plugin and its like                plugins that break on purpose
    forked, killed_at_step, killed_at_call    processes that die on purpose
    MemoryGroup                               a control group in which memory runs out

Needs pytest and anyio's pytest plugin: install `framework-core[testing]`. Only tests import this package. The names are
resolved on first use, so that the process which observes an import can do so without pytest.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.testing.collector import CollectorContract
    from framework.testing.contract import PluginContract
    from framework.testing.crashes import killed_at_call, killed_at_step
    from framework.testing.dummy import DummyPlugin, DummyProvider, DummyResource
    from framework.testing.faults import (
        PHASES,
        blocking_plugin,
        broken_plugin,
        exiting_plugin,
        faulty_plugin,
        hanging_plugin,
        meddling_plugin,
    )
    from framework.testing.forks import Ending, forked
    from framework.testing.groups import MemoryGroup
    from framework.testing.participant import ParticipantContract
    from framework.testing.permissions import PERMISSIONS
    from framework.testing.provider import ProviderContract
    from framework.testing.strategy import StrategyContract
    from framework.testing.traces import Traces, open_descriptors

_HOMES = {
    "CollectorContract": "collector",
    "DummyPlugin": "dummy",
    "DummyProvider": "dummy",
    "DummyResource": "dummy",
    "Ending": "forks",
    "MemoryGroup": "groups",
    "PERMISSIONS": "permissions",
    "PHASES": "faults",
    "ParticipantContract": "participant",
    "PluginContract": "contract",
    "ProviderContract": "provider",
    "StrategyContract": "strategy",
    "Traces": "traces",
    "blocking_plugin": "faults",
    "broken_plugin": "faults",
    "exiting_plugin": "faults",
    "faulty_plugin": "faults",
    "forked": "forks",
    "hanging_plugin": "faults",
    "killed_at_call": "crashes",
    "killed_at_step": "crashes",
    "meddling_plugin": "faults",
    "open_descriptors": "traces",
}
_SUITES = (
    *("collector", "contract", "participant", "provider", "provider_death", "provider_limits", "provider_release"),
    *("scene", "strategy", "strategy_bag", "turnover"),
)

__all__ = [
    "PERMISSIONS",
    "PHASES",
    "CollectorContract",
    "DummyPlugin",
    "DummyProvider",
    "DummyResource",
    "Ending",
    "MemoryGroup",
    "ParticipantContract",
    "PluginContract",
    "ProviderContract",
    "StrategyContract",
    "Traces",
    "blocking_plugin",
    "broken_plugin",
    "exiting_plugin",
    "faulty_plugin",
    "forked",
    "hanging_plugin",
    "killed_at_call",
    "killed_at_step",
    "meddling_plugin",
    "open_descriptors",
]

if "pytest" in sys.modules:
    # before a suite is imported, so that its failures say what was found
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{one}" for one in _SUITES))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
