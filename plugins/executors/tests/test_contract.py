"""The conformance suite, applied to this plugin."""

from typing import Any

import pytest

from framework.testing import PluginContract


class TestContract(PluginContract):
    subject = "executors"

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"executor.thread": {"workers": 2}, "executor.process": {"workers": 1}}
