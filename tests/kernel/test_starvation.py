"""A plugin that takes all the memory there is fails alone, and gives it back at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., Path]

ROOM = 256 << 20
"""Bytes that the program below can still take when the plugins start."""

GOOD = "from framework import Plugin\n\nclass Sample(Plugin):\n    async def initialize(self):\n        pass\n"

HEAD = "from framework import Plugin, hookimpl\n\nclass Sample(Plugin):\n"

BAD = {
    "in a variable of initialize": """
async def initialize(self):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
""",
    "in the plugin object": """
async def initialize(self):
    self.kept = []
    while True:
        self.kept.append(bytearray(1 << 20))
""",
    "in the constructor": """
def __init__(self):
    self.kept = []
    while True:
        self.kept.append(bytearray(1 << 20))
""",
    "and says something else": """
async def initialize(self):
    kept = []
    try:
        while True:
            kept.append(bytearray(1 << 20))
    except MemoryError as error:
        raise ValueError("too much") from error
""",
    "in a hook": """
@hookimpl
def register_metrics_collectors(self):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
""",
    "in its module": """
    pass

def function():
    pass

KEPT = []
while True:
    KEPT.append(bytearray(1 << 20))
""",
}

PROGRAM = f"""
import asyncio, gc, json, resource
from framework import Framework

def taken(what):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) << 10

async def main():
    async with Framework.from_config({{"plugins": {{"first": None, "last": None}}}}):
        pass  # whatever is imported on the way is not what is looked for
    gc.collect()
    gc.disable()  # nothing but the host itself gives anything back
    before = taken("VmRSS:")
    resource.setrlimit(resource.RLIMIT_AS, (taken("VmSize:") + {ROOM}, resource.RLIM_INFINITY))
    async with Framework.from_config({{"plugins": {{"first": None, "eats": None, "last": None}}}}) as host:
        rows = {{one.name: [one.state.value, one.reason, one.traceback] for one in host.plugins.records()}}
        print(json.dumps([rows, taken("VmRSS:") - before]))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and limits the address space")
@pytest.mark.parametrize("code", BAD.values(), ids=BAD.keys())
def test_a_plugin_that_eats_all_memory_fails_alone_and_gives_it_back(
    tmp_path: Path, install: Install, code: str
) -> None:
    site = tmp_path / "site"
    install(site, "first", GOOD)
    install(site, "last", GOOD, extra='requires = ["first"]')
    body = "".join(f"    {line}\n" for line in code.splitlines()) if "KEPT" not in code else code
    install(site, "eats", HEAD + body, extra='after = ["first"]')
    environment = {**os.environ, "PYTHONPATH": str(site), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    rows, more = json.loads(done.stdout)
    assert {name: row[0] for name, row in rows.items() if name in {"first", "last", "eats"}} == {
        "first": "active",
        "last": "active",
        "eats": "failed",
    }
    assert "MemoryError" in rows["eats"][2]
    assert "plugin_eats" in rows["eats"][2]  # the traceback still says where
    assert more < ROOM / 2  # the allocator of C may keep some of it for itself
