"""The conformance suites, applied to this plugin."""

from pathlib import Path
from typing import Any

import pytest

from framework import MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, PluginContract, ProviderContract
from plugin_file import FileProvider
from plugin_file.collector import FileCollector


class Requests:
    @pytest.fixture
    def requests(self, tmp_path: Path) -> dict[str, dict[str, Any]]:
        return {
            "file.local": {"path": str(tmp_path / "data"), "size": 4096},
            "file.temp": {"size": 4096, "directory": str(tmp_path)},
            "file.directory": {"path": str(tmp_path / "folder")},
        }


class TestContract(Requests, PluginContract):
    subject = "file"


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return FileProvider()


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return FileCollector(FileProvider())
