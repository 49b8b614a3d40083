"""What the configuration may say, and what it is told when that is wrong."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

import plugin_strategies
from framework import Framework, PluginState, ResourceClass
from plugin_strategies import Affinity
from plugin_strategies.defaults import Defaults
from plugin_strategies.plugin import CLASSES
from plugin_strategies.settings import StrategiesSettings


def test_a_configuration_that_says_nothing_is_the_default() -> None:
    assert StrategiesSettings().model_dump() == {name: dict(value) for name, value in Defaults()._asdict().items()}


def test_every_strategy_that_takes_arguments_can_be_given_some() -> None:
    takers = [name for name, one in CLASSES.items() if inspect.signature(getattr(plugin_strategies, one)).parameters]
    assert sorted(StrategiesSettings.model_fields) == takers
    for name, one in CLASSES.items():
        assert getattr(plugin_strategies, one).name == name


def test_what_no_pool_uses_is_not_imported() -> None:
    code = """
import asyncio, sys
from framework import Framework
async def main():
    async with Framework.from_config({"plugins": {"strategies": {}}}) as host:
        assert len(host.strategies()) == 8
        assert not [one for one in sys.modules if one.startswith("plugin_strategies.") and "round" in one]
        host.strategies()["round_robin"].bag
        assert "plugin_strategies.round_robin" in sys.modules
        print(sorted(one.split(".")[1] for one in sys.modules if one.startswith("plugin_strategies.")))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=110)
    assert done.stdout.strip() == "['defaults', 'heap', 'late', 'plugin', 'round_robin']"


def test_a_name_that_there_is_not_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match="RoundRobin"):
        _ = plugin_strategies.RoundRobbin
    assert "RoundRobin" in dir(plugin_strategies)


async def test_a_host_has_all_strategies_as_configured() -> None:
    sections = {
        "affinity": {"rules": [{"tasks": "a*", "prefer": ["e"]}], "sticky": True},
        "priority": {"by": "type", "values": {"executor": 3}},
        "resource_based": {"weights": {"gpu": 1}, "unscored": 1},
        "two_choices": {"seed": 7},
    }
    async with Framework.from_config({"plugins": {"strategies": sections}}) as host:
        found = host.strategies()
    assert sorted(found) == [
        *("affinity", "best_fit", "first_fit", "least_connections"),
        *("priority", "resource_based", "round_robin", "two_choices"),
    ]
    affinity: Any = found["affinity"]
    assert isinstance(affinity.strategy, Affinity)
    assert affinity.hint("a1") is not None
    assert not hasattr(found["priority"], "bag")
    assert found["priority"].rank(ResourceClass("executor")) == -3


async def test_a_wrong_section_is_refused_with_its_place() -> None:
    async with Framework.from_config({"plugins": {"strategies": {"two_choices": {"seed": "x"}}}}) as host:
        record = host.plugins.record("strategies")
        assert host.strategies() == {}
    assert record.state is PluginState.FAILED
    assert "plugins.strategies.two_choices" in record.reason
    assert "The seed is 'x'; an integer is allowed." in record.reason


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("two_choices", {"sead": 1}, "There is no 'sead'; allowed are seed. Did you mean 'seed'?"),
        ("two_choices", {"seed": 1.5}, "The seed is 1.5; an integer is allowed."),
        ("priority", {"by": "lable"}, "by is 'lable'; allowed are label, capability, type. Did you mean 'label'?"),
        ("priority", {"name": ""}, "name is ''; a text is allowed."),
        ("priority", {"values": ["gold"]}, r"values is \['gold'\]; allowed are priorities by value."),
        ("priority", {"values": {"gold": "high"}}, "The priority of 'gold' is 'high'; a number is allowed."),
        ("priority", {"default": float("inf")}, "default is inf; a number is allowed."),
        ("resource_based", {"weights": {}}, "weights is {}; allowed are numbers by name."),
        ("resource_based", {"weights": {"cpu": -1}}, "The weight of 'cpu' is -1; a number from 0 is allowed."),
        ("resource_based", {"weights": {"cpu": 0}}, "The weights add up to 0.0."),
        ("resource_based", {"weights": {"cpu": 1e308, "memory": 1e308}}, "The weights add up to inf."),
        ("resource_based", {"unscored": 2}, "unscored is 2; a number from 0 to 1 is allowed."),
        ("affinity", {"rules": "a*"}, "rules is 'a\\*'; a list of rules is allowed."),
        ("affinity", {"rules": ["a*"]}, "The rule 'a\\*' does not say for which tasks it is."),
        ("affinity", {"rules": [{"prefer": ["e"]}]}, "does not say for which tasks it is"),
        ("affinity", {"rules": [{"tasks": "a", "perfer": []}]}, "has the key 'perfer'.*Did you mean 'prefer'?"),
        ("affinity", {"rules": [{"tasks": "a"}]}, "The rule for 'a' says nothing."),
        ("affinity", {"rules": [{"tasks": "a", "prefer": 3}]}, "prefer has 3; a list of texts is allowed."),
        ("affinity", {"rules": [{"tasks": "a", "near": ["zone"]}]}, "near has .*; labels with values is allowed."),
        ("affinity", {"rules": [{"tasks": "a", "near": {"zone": 1}}]}, "near has 1; a text is allowed. Write numbers"),
        ("affinity", {"rules": [{"tasks": "a", "avoid": {"zone": [1]}}]}, "avoid has 1; a text is allowed."),
        ("affinity", {"sticky": "yes"}, "sticky is 'yes'; true or false is allowed."),
        ("affinity", {"separator": ""}, "The separator is empty."),
        ("affinity", {"spread": 3}, "spread is 3; a text is allowed."),
        ("affinity", {"remember": 0}, "remember is 0; an integer from 1 is allowed."),
        ("affinity", {"sticky": True, "anti_affinity": "zone"}, "Use one of the two."),
    ],
)
def test_what_is_wrong_is_named(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        StrategiesSettings(**{name: given})
