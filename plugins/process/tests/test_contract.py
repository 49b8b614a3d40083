"""The conformance suites, applied to this plugin."""

from typing import Any

import pytest

from framework import MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, PluginContract, ProviderContract
from plugin_process import ProcessProvider
from plugin_process.metrics import ProcessMetrics


def _wait_for_stop(stop: Any) -> None:
    stop.wait()


class Requests:
    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {
            "process.local": {"command": "sleep", "args": ["1000"]},
            "process.thread": {"target": _wait_for_stop},
        }


class Limited(Requests):
    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {
            "process.local": {"command": "sleep 1000", "shell": True, "size": 64 << 20, "io_priority": "idle"},
            "process.thread": {"target": _wait_for_stop},
        }


class TestContract(Limited, PluginContract):
    subject = "process"


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return ProcessProvider()


class TestProviderWithLimits(Limited, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return ProcessProvider()


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return ProcessMetrics(ProcessProvider())
