"""The conformance suites, applied to this plugin."""

import pytest

from framework import Framework, MetricsCollector
from framework.testing import CollectorContract, PluginContract
from plugin_pressure.collector import PressureCollector
from plugin_pressure.monitor import Monitor
from plugin_pressure.options import Options


class TestContract(PluginContract):
    subject = "pressure"


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return PressureCollector(Monitor(Framework.from_config({"plugins": {}}), Options()))
