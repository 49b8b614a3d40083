"""The conformance suites, applied to this plugin."""

from typing import Any

import pytest

from framework import AllocationStrategy
from framework.testing import PluginContract, StrategyContract
from plugin_strategies import (
    Affinity,
    BestFit,
    FirstFit,
    LeastConnections,
    Priority,
    ResourceBased,
    RoundRobin,
    TwoChoices,
)
from plugin_strategies.late import Late

RULES = [{"tasks": "job-*", "prefer": ["entity-1"], "near": {"zone": "a"}, "avoid": {"zone": ["b"]}}]


class TestContract(PluginContract):
    subject = "strategies"

    @pytest.fixture
    def requests(self) -> dict[str, dict[str, Any]]:
        return {}


class TestFirstFit(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return FirstFit()


class TestBestFit(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return BestFit()


class TestRoundRobin(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return RoundRobin()


class TestLeastConnections(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return LeastConnections()


class TestResourceBased(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return ResourceBased()


@pytest.mark.parametrize("by", ["label", "capability", "type"])
class TestPriority(StrategyContract):
    @pytest.fixture
    def strategy(self, by: str) -> AllocationStrategy:
        return Priority(by=by, name="cpu", values={"machine": 3})


class TestAffinity(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return Affinity()


class TestAffinityOfRules(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return Affinity(rules=RULES, spread="zone", anti_affinity="zone")


class TestStickyAffinity(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return Affinity(rules=RULES, sticky=True, spread="zone", remember=self.remembers)


class TestTwoChoices(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return TwoChoices(seed=1)


class TestLate(StrategyContract):
    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        return Late("round_robin", RoundRobin)
