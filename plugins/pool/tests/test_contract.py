"""The conformance suites, applied to this plugin."""

from typing import Any

import pytest

from framework import AllocationStrategy, Framework, MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, PluginContract, ProviderContract, StrategyContract
from plugin_pool import BestFit, FirstFit, ResourcePool
from plugin_pool.hosting.collector import PoolCollector
from plugin_pool.hosting.provider import PoolProvider

ENTITIES = [{"id": f"executor-{number}", "type": "executor", "capabilities": {"web_search": 5}} for number in range(9)]


class Requests:
    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"pool.entity": {"requirements": {"type": "executor", "capabilities": {"web_search": 3}}}}


class TestContract(Requests, PluginContract):
    subject = "pool"

    @pytest.fixture
    def host(self) -> Framework:
        return Framework.from_config({"plugins": {"pool": {"activation": "startup", "resources": ENTITIES}}})


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        pool = ResourcePool()
        for one in ENTITIES:
            pool.add_resource(one)
        return PoolProvider(pool)


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
