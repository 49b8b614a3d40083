"""What the guide on extension points shows, installed and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]

GUIDE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "how-to", "add-an-extension-point.md")
BLOCK = re.compile(r"^```\{code-block\} \w+\n:caption: (?P<file>.+)\n\n(?P<body>(?:.*\n)*?)^```$", re.MULTILINE)

APPLICATION = """
import asyncio, json
from framework import Framework
from framework.errors import PluginError

async def remarks(host):
    return (await host.execute("cards", {"card": 7}))["remarks"]

async def main():
    seen = []
    async with Framework.from_config() as host:
        seen.append(await remarks(host))
        await host.disable("player")
        seen.append(await remarks(host))
        await host.enable("player")
        await host.reload("cards")
        seen.append(await remarks(host))
        await host.disable("cards")
        seen.append([one.name for one in host.hooks.records() if one.name == "card_dealt"])
        try:
            host.hooks.call("card_dealt", card=7, player="you")
        except PluginError as error:
            seen.append(error.problem)
        seen.append([one.plugin for one in host.hooks.statistics()])
    print(json.dumps(seen))

asyncio.run(main())
"""


@pytest.fixture
def installed(site: Path, home: Path, install: Install) -> None:
    with open(GUIDE, encoding="utf-8") as file:
        files = {match["file"]: match["body"] for match in BLOCK.finditer(file.read())}
    assert sum(name.startswith("plugin_") for name in files) == 4
    for name in ("cards", "player"):
        install(
            site,
            name,
            files[f"plugin_{name}/__init__.py"],
            manifest=files[f"plugin_{name}/plugin.toml"],
            entry_points=f"[framework.plugins]\n{name} = plugin_{name}:{name.title()}Plugin\n",
        )
    (home / "framework.yaml").write_text("plugins: {cards: {}, player: {}}\n")


def good(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("installed")
def test_implementations_come_and_go_with_their_plugins(home: Path, environment: dict[str, str]) -> None:
    options: dict[str, Any] = {"cwd": home, "env": environment, "capture_output": True, "encoding": "utf-8"}
    done = subprocess.run([sys.executable, "-c", APPLICATION], **options, check=False, timeout=60)

    remark = ["a 7, how nice"]
    gone = "The hook 'card_dealt' is not specified by any plugin; those that can be called are none."
    assert good(done) == [remark, [], remark, [], gone, []]


@pytest.mark.usefixtures("installed")
def test_every_hook_is_listed_with_who_implements_it(program: Program) -> None:
    rows = good(program("plugins", "hooks", "-o", "json"))
    (one,) = [row for row in rows if row["name"] == "card_dealt"]
    assert (one["specified_by"], one["implemented_by"], one["arguments"]) == ("cards", ["player"], ["card", "player"])
    (kernels,) = [row for row in rows if row["name"] == "add_hookspecs"]
    assert (kernels["specified_by"], kernels["implemented_by"]) == ("the kernel", ["cards"])
    assert "card_dealt" in program("plugins", "hooks").stdout


@pytest.mark.usefixtures("installed")
def test_the_time_that_each_plugin_takes_is_listed_slowest_first(program: Program) -> None:
    rows = good(program("plugins", "time", "-o", "json"))
    assert sorted(row["name"] for row in rows) == ["cards", "player"]
    assert [row["total_ms"] for row in rows] == sorted((row["total_ms"] for row in rows), reverse=True)
    for row in rows:
        phases = sum(row[f"{phase}_ms"] for phase in ("import", "settings", "initialize", "register"))
        assert row["state"] == "active"
        assert 0 < row["total_ms"] == pytest.approx(phases, abs=0.01)
    (player,) = [row for row in rows if row["name"] == "player"]
    assert (player["hook_calls"], player["hook_failures"]) == (0, 0)
