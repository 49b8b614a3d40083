"""The conformance suites, applied to this plugin."""

from typing import Any

import pytest

from framework import MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, PluginContract, ProviderContract
from plugin_executors import ExecutorsProvider
from plugin_executors.collector import ExecutorsCollector


class Requests:
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
