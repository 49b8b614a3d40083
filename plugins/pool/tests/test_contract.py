"""The conformance suites, applied to this plugin."""

from typing import Any

import pytest

from framework import AllocationStrategy, MetricsCollector
from framework.testing import CollectorContract, PluginContract, StrategyContract
from plugin_pool import BestFit, FirstFit, ResourcePool
from plugin_pool.collector import PoolCollector


class TestContract(PluginContract):
    subject = "pool"

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {}


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return PoolCollector(ResourcePool())


class TestFirstFit(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return FirstFit()


class TestBestFit(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return BestFit()
