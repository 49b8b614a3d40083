"""What the documentation shows works."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from framework import AllocationStrategy
from framework.testing import StrategyContract

pytest.importorskip("plugin_pool")

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PAGE = os.path.join(ROOT, "docs", "how-to", "choose-a-strategy.md")


def examples() -> dict[str, Any]:
    with open(PAGE, encoding="utf-8") as file:
        blocks = re.findall(r"^```python\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, Any] = {"__name__": "example", "pytest": pytest}
    exec(compile("\n".join(blocks), PAGE, "exec"), names)
    return names


def test_the_examples_run() -> None:
    [strategy] = examples()["RestPlugin"]().register_allocation_strategies()
    assert strategy.name == "longest_rested"


@pytest.mark.parametrize("name", ["Cheapest", "LongestRested"])
class TestExample(StrategyContract):
    @pytest.fixture
    def strategy(self, name: str) -> AllocationStrategy:
        found: AllocationStrategy = examples()[name]()
        return found
