"""The conformance suites, applied to this plugin."""

from collections.abc import Iterator

import pytest

from framework import MetricsCollector, MetricsManager
from framework.testing import CollectorContract, PluginContract
from plugin_system.custom import AlertsCollector, CustomCollector, TasksCollector
from plugin_system.disk import DiskCollector
from plugin_system.network import NetworkCollector
from plugin_system.process import ProcessCollector
from plugin_system.runtime import RuntimeCollector
from plugin_system.service import Metrics
from plugin_system.system import SystemCollector


class TestContract(PluginContract):
    subject = "system"


class TestSystem(CollectorContract):
    @pytest.fixture
    def collector(self) -> Iterator[MetricsCollector]:
        collector = SystemCollector()
        yield collector
        collector.close()


class TestProcess(CollectorContract):
    @pytest.fixture
    def collector(self) -> Iterator[MetricsCollector]:
        collector = ProcessCollector(lambda: (1.0, 1 << 30))
        yield collector
        collector.close()


class TestRuntime(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return RuntimeCollector()


class TestNetwork(CollectorContract):
    @pytest.fixture
    def collector(self) -> Iterator[MetricsCollector]:
        collector = NetworkCollector()
        yield collector
        collector.close()


class TestDisk(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return DiskCollector()


class TestTasks(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return TasksCollector(MetricsManager())


class TestCustom(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        service = Metrics(MetricsManager())
        service.gauge("depth", 3, queue="a")
        service.histogram("took", 0.5)
        return CustomCollector(service)


class TestAlerts(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        service = Metrics(MetricsManager())
        service.alert("high", metric="system_cpu_percent", above=200)
        return AlertsCollector(service)
