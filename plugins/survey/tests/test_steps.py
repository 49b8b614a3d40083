"""A survey that is killed at any single step on what it writes comes to the same when it is run again."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("plugin_executors", "plugin_file")),
    reason="the command needs the plugins executors and file, which are not installed",
)
# the names, without a folder, are those that files are renamed by relative to an open folder
KILLED = """
import os, signal, sys

EVENTS = {"os.rename", "os.remove", "os.link", "os.truncate", "os.mkdir", "os.rmdir", "open", "sqlite3.connect"}
NAMES = ("r.html", "r.json", "framework-")


def watch(wanted, limit, folder):
    owner, count = os.getpid(), 0

    def look(event, arguments):
        nonlocal count
        if event not in wanted or os.getpid() != owner:
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        names = [os.fsdecode(one) for one in arguments if isinstance(one, (str, bytes))]
        if any(folder in name or name.startswith(NAMES) for name in names):
            count += 1
            if count == limit:
                os.kill(owner, signal.SIGKILL)

    sys.addaudithook(look)


if __name__ == "__main__":
    from framework.cli import main

    events, limit, folder, *sys.argv[1:] = sys.argv[1:]
    watch(set(events.split(",")) if events else EVENTS, int(limit), folder)
    main()
"""
Survey = Callable[..., int]


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    """Survey the tree into the folder `out`; with a limit the process is killed at that step."""
    (tmp_path / "killed.py").write_text(KILLED)
    config = tmp_path / "framework.yaml"
    config.write_text("plugins: {survey: {}, executors: {}, file: {}}")
    places = {"XDG_STATE_HOME": tmp_path / "state", "TMPDIR": tmp_path, "FRAMEWORK_CONFIG": config}
    environment = {**os.environ, **{name: str(path) for name, path in places.items()}}
    targets = ("--catalogue", "out/c", "--report", "out/r.html", "--report", "out/r.json")

    def run(*options: str, events: str = "", limit: int = 0) -> int:
        command = [sys.executable, "killed.py", events, str(limit), str(tmp_path / "out")]
        command += ["survey", "tree", "--index", "--quiet", *targets, *options]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, 2, -9), done.stderr
        assert done.returncode != 2 or "exists already" in done.stderr
        return done.returncode

    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    out.mkdir()
    for number in range(6):
        (tree / f"{number}.txt").write_text(f"text {number % 4}")
    newest = max(path.stat().st_ctime_ns for path in tree.iterdir())
    while time.time_ns() < newest + 2 * UNSETTLED_NS:
        os.sched_yield()
    return out


def result_in(out: Path) -> tuple[Any, ...]:
    """Return what a survey left, without what differs from run to run."""
    report = json.loads((out / "r.json").read_text())
    with closing(sqlite3.connect(out / "c")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.execute("INSERT INTO text_index (text_index) VALUES ('integrity-check')")
        files = database.execute("SELECT path, size, mtime_ns, inode, digest, kind FROM file ORDER BY path").fetchall()
        texts = database.execute("SELECT body FROM text ORDER BY body").fetchall()
    assert (out / "r.html").read_text().rstrip().endswith("</html>")
    return sorted(os.listdir(out)), files, texts, report["duplicates"], report["texts"], report["problems"]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param("os.rename", id="renames"),
        pytest.param("", id="all", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_kill_at_any_step_costs_nothing_but_the_run(survey: Survey, out: Path, events: str) -> None:
    assert survey() == 0
    expected = result_in(out)
    step = 0
    while True:
        step += 1
        for path in out.iterdir():
            path.unlink()
        if survey(events=events, limit=step) == 0:
            break
        if survey() == 2:  # all was published, and is not replaced unless that is asked for
            assert result_in(out) == expected
            assert survey("--force") == 0
        assert result_in(out) == expected
    assert step > 3  # the catalogue and two reports
