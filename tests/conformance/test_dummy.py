"""The conformance suites hold for the reference plugin, which needs no manifest."""

from typing import Any

import pytest

from framework import AllocationStrategy, CleanupParticipant, MetricsCollector, ResourceProvider
from framework.testing import (
    CollectorContract,
    DummyPlugin,
    DummyProvider,
    ParticipantContract,
    PluginContract,
    ProviderContract,
    StrategyContract,
)
from framework.testing.dummy import DummyCollector, DummyParticipant, DummyStrategy


class Requests:
    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {"dummy.thing": {"size": 7}, "dummy.file": {}, "dummy.link": {}}


class TestContract(Requests, PluginContract):
    subject = DummyPlugin


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return DummyProvider([])


class TestParticipant(ParticipantContract):
    @pytest.fixture
    def participant(self) -> CleanupParticipant:
        return DummyParticipant([])


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return DummyCollector([])


class TestStrategy(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return DummyStrategy()
