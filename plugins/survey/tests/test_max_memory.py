"""The memory budget of the whole command, measured from outside by what all its processes have together."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from plugin_survey.tree_memory import process_bytes, tree, tree_bytes

NEEDED = ("executors", "file", "memory", "pool")
pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(f"plugin_{name}") is None for name in NEEDED),
        reason="the inspection needs the plugins executors, file, memory and pool, which are not installed",
    ),
    pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs /proc to measure processes"),
]
COMMAND = [sys.executable, "-c", "from framework.cli import main; main()", "survey"]
MIB = 1 << 20


def make_tree(root: Path, texts: int) -> None:
    """Texts of up to 300 kB, and two files that take far more than a worker has with a small budget."""
    numbers = random.Random(3)
    words = [f"word{number}" for number in range(5000)]
    root.mkdir()
    for number in range(texts):
        (root / f"{number}.txt").write_text(" ".join(numbers.choices(words, k=numbers.randrange(40_000))))
    with (root / "large.json").open("w") as file:
        json.dump([{"key": " ".join(numbers.choices(words, k=20))} for _ in range(60_000)], file)
    with zipfile.ZipFile(root / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(200 * MIB))


def peak_of(command: list[str], environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Run a command, and return the most that its processes had together, and its answer."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=-1
    )
    peak, output, errors = 0, "", ""
    with process:
        while True:
            peak = max(peak, tree_bytes(process.pid))
            try:
                output, errors = process.communicate(timeout=0.01)
                break
            except subprocess.TimeoutExpired:
                pass  # not yet
    assert process.returncode in (0, 1), errors
    return peak, json.loads(output)


@pytest.mark.parametrize(
    ("budget", "texts"),
    [
        pytest.param(112, 60, id="112 MiB"),
        *[
            pytest.param(size, 300, marks=[pytest.mark.slow, pytest.mark.alone], id=f"{size} MiB")
            for size in (128, 256, 1024)
        ],
    ],
)
def test_all_processes_together_obey_the_budget(tmp_path: Path, budget: int, texts: int) -> None:
    make_tree(tmp_path / "tree", texts)
    config = tmp_path / "framework.yaml"
    config.write_text(json.dumps({"plugins": {name: {} for name in (*NEEDED, "survey")}}))
    places = {"XDG_STATE_HOME": tmp_path / "state", "TMPDIR": tmp_path, "FRAMEWORK_CONFIG": config}
    environment = {**os.environ, **{name: str(path) for name, path in places.items()}}
    options = ["--check", "--index", "--max-memory", f"{budget}MiB", "--quiet", "-o", "json"]
    peak, report = peak_of([*COMMAND, str(tmp_path / "tree"), *options], environment)
    assert 40 * MIB < peak <= budget * MIB * 1.05
    assert report["memory"]["budget_bytes"] == budget * MIB
    assert 0 < report["memory"]["peak_bytes"] <= budget * MIB * 1.05
    assert report["texts"] >= texts


def test_memory_of_a_process_and_its_children_is_added_up() -> None:
    script = "import sys; held = bytearray(50 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in tree(os.getpid())
        assert process_bytes(child.pid) > 50 * MIB
        assert tree_bytes() > process_bytes(os.getpid()) + 50 * MIB
        child.communicate()
    assert process_bytes(child.pid) == 0
