"""What plugin authors test with: the conformance suite `PluginContract`, the `DummyPlugin`, and plugins that break.

Needs pytest and anyio's pytest plugin: install `framework-core[testing]`. Only tests import this package.
"""

import pytest

pytest.register_assert_rewrite("framework.testing.contract")  # so that its failures say what was found

from framework.testing.contract import PluginContract, open_descriptors
from framework.testing.dummy import DummyPlugin, DummyProvider, DummyResource
from framework.testing.faults import PHASES, broken_plugin

__all__ = [
    "PHASES",
    "DummyPlugin",
    "DummyProvider",
    "DummyResource",
    "PluginContract",
    "broken_plugin",
    "open_descriptors",
]
