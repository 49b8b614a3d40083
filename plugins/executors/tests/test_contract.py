"""The conformance suites, applied to this plugin."""

from multiprocessing import resource_tracker
from typing import Any

import pytest

from framework import MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, PluginContract, ProviderContract
from plugin_executors import ExecutorsProvider
from plugin_executors.collector import ExecutorsCollector


class Requests:
    @pytest.fixture(autouse=True)
    def tracker(self) -> None:
        """Start the standard library's one tracker of the program, which stays until exit and is not the plugin's."""
        resource_tracker.ensure_running()

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"executor.thread": {"workers": 2}, "executor.process": {"workers": 1}}


class TestContract(Requests, PluginContract):
    subject = "executors"


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return ExecutorsProvider()


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return ExecutorsCollector(ExecutorsProvider())
