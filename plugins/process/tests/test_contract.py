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


class TestContract(Requests, PluginContract):
    subject = "process"


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return ProcessProvider()


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return ProcessMetrics(ProcessProvider())
