"""The conformance suite holds for the reference plugin, which needs no manifest."""

from typing import Any

import pytest

from framework.testing import DummyPlugin, PluginContract


class TestContract(PluginContract):
    subject = DummyPlugin

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"dummy.thing": {"size": 7}}
