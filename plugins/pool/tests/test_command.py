"""`framework why` as people run it: a real process, with a pool that a file describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIGURATION = """
plugins:
  pool:
    resources:
      - {id: executor-1, type: executor, capabilities: {web_search: 8, file_ops: 3}}
      - {id: executor-2, type: executor, capabilities: {web_search: 4}}
"""


@pytest.fixture
def why(tmp_path: Path) -> Run:
    file = tmp_path / "framework.yaml"
    file.write_text(CONFIGURATION)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "FRAMEWORK_CONFIG": str(file)}
    command = [sys.executable, "-c", "from framework.cli import main; main()"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, env=environment)

    return run


def test_what_the_pool_has_is_fine(why: Run) -> None:
    done = why("why", "executor:web_search=5", "executor")

    assert done.returncode == 0, done.stderr
    assert "can have everything now" in done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == ["2", "1", "1", "1", "2", "2", "2"]


def test_what_it_has_not_is_explained(why: Run) -> None:
    done = why("why", "2*executor:web_search=5,file_ops", "-o", "json")

    assert done.returncode == 4, done.stderr
    found = json.loads(done.stdout)
    assert found["tier"] == "impossible"
    assert (found["needed"], found["found"]) == (2, 1)
    assert found["change"] == "adding 1 executor (file_ops >= 1, web_search >= 5)"


@pytest.mark.parametrize(
    ("need", "said"),
    [("executor:web_search=high", "'high'"), ("x*executor", "write it as"), ("executor:web_search=11", "1 to 10")],
)
def test_a_need_that_cannot_be_read_is_refused(why: Run, need: str, said: str) -> None:
    done = why("why", need)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
