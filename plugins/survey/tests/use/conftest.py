"""What the tests of the commands afterwards share: a catalogue of a folder, and the commands as people run them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS
from plugin_survey.reporting.report import Findings

MAIN = "from framework.cli import main; main()"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What the command finds in its environment: a configuration, and places of its own."""
    if any(importlib.util.find_spec(name) is None for name in ("plugin_executors", "plugin_file")):
        pytest.skip("the command needs the plugins executors and file, which are not installed")
    config = tmp_path / "framework.yaml"
    config.write_text("plugins: {survey: {}, executors: {}, file: {}}\n")
    places = {"XDG_STATE_HOME": tmp_path / "state", "TMPDIR": tmp_path, "FRAMEWORK_CONFIG": config}
    return {**os.environ, **{name: str(path) for name, path in places.items()}}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command in the folder of the test; a hook is Python that is executed before, such as an audit hook."""

    def start(*arguments: object, prefix: tuple[str, ...] = (), hook: str = "") -> subprocess.Popen[str]:
        program = [sys.executable, "-c", f"{hook}\n{MAIN}", "survey"]
        command = [*prefix, *program, *(one if isinstance(one, bytes) else str(one) for one in arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[str, str]]:
    """Run the command to its end and return what it printed on standard output and standard error."""

    def run(*arguments: object, code: int = 0, **options: Any) -> tuple[str, str]:
        with start(*arguments, **options) as process:
            output, errors = process.communicate(timeout=100)
        assert process.returncode == code, output + errors
        return output, errors

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


@pytest.fixture
def catalogued(tree: Path, tmp_path: Path, survey_of: Callable[..., Findings]) -> Callable[[], str]:
    """Survey the tree as it is now, once its files are so old that a change would show in their times."""
    path = str(tmp_path / "catalogue.sqlite")

    def survey() -> str:
        newest = max(one.lstat().st_ctime_ns for one in tree.rglob("*"))
        while time.time_ns() < newest + 2 * UNSETTLED_NS:
            os.sched_yield()
        survey_of(tree, catalogue=path, again=os.path.exists(path))
        return path

    return survey
