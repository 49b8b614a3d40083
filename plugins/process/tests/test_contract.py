"""The conformance suite, applied to this plugin."""

from typing import Any

import pytest

from framework.testing import PluginContract


def _wait_for_stop(stop: Any) -> None:
    stop.wait()


class TestContract(PluginContract):
    subject = "process"

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {
            "process.local": {"command": "sleep", "args": ["1000"]},
            "process.thread": {"target": _wait_for_stop},
        }
