"""The conformance suite, applied to this plugin."""

from pathlib import Path
from typing import Any

import pytest

from framework.testing import PluginContract


class TestContract(PluginContract):
    subject = "file"

    @pytest.fixture
    def requests(self, tmp_path: Path) -> dict[str, dict[str, Any]]:
        return {
            "file.local": {"path": str(tmp_path / "data"), "size": 4096},
            "file.temp": {"size": 4096, "directory": str(tmp_path)},
        }
