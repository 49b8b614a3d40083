"""What the documentation shows works."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from framework import AllocationStrategy, Framework
from framework.testing import StrategyContract

pytest.importorskip("plugin_pool")

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PAGE = os.path.join(ROOT, "docs", "how-to", "choose-a-strategy.md")


MANIFEST = """
schema = 1
api = 1
name = "rest"
type = "processor"

[provides]
strategies = ["longest_rested"]
"""


def blocks() -> list[str]:
    with open(PAGE, encoding="utf-8") as file:
        found: list[str] = re.findall(r"^```python\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)
    assert len(found) == 7
    return found


def examples() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example", "pytest": pytest}
    exec(compile("\n".join(blocks()), PAGE, "exec"), names)
    return names


def test_the_examples_run() -> None:
    [strategy] = examples()["RestPlugin"]().register_allocation_strategies()
    assert strategy.name == "longest_rested"


async def test_a_strangers_package_works_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strategy of the guide, installed as a distribution that nobody here knows."""
    [written] = [one.partition("\npool = ")[0] for one in blocks() if "class Rested:" in one]
    package, information = tmp_path / "plugin_rest", tmp_path / "plugin_rest-1.0.dist-info"
    for folder in (package, information):
        folder.mkdir()
    code = f"from framework import ResourceClass\n{written}\n{blocks()[-1]}"
    (package / "__init__.py").write_text(code, encoding="utf-8")
    (package / "plugin.toml").write_text(MANIFEST, encoding="utf-8")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-rest\nVersion: 1.0\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(
        "[framework.plugins]\nrest = plugin_rest:RestPlugin\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    resources = [{"id": one, "type": "t"} for one in ("a", "b")]
    plugins = {"pool": {"strategy": "longest_rested", "resources": resources}, "rest": {}}
    try:
        async with Framework.from_config({"plugins": plugins}) as host:
            pool: Any = await host.service("pool")
            for task in "12":
                pool.allocate_resources(task, {"type": "t"})
            for task in "21":
                pool.release_resources(task)
            assert pool.allocate_resources("3", {"type": "t"}).allocated_resources == ("b",)
            assert host.plugins.record("rest").provides == ("longest_rested",)
    finally:
        sys.modules.pop("plugin_rest", None)


@pytest.mark.parametrize("name", ["Cheapest", "LongestRested"])
class TestExample(StrategyContract):
    @pytest.fixture
    def strategy(self, name: str) -> AllocationStrategy:
        found: AllocationStrategy = examples()[name]()
        return found
