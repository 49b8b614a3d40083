"""A survey that is killed, or whose workers are, comes to the same as one that is left alone."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS
from plugin_survey.tree_memory import tree

NEEDED = ("executors", "file", "memory", "pool")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(f"plugin_{name}") is None for name in NEEDED),
    reason="the inspection needs the plugins executors, file, memory and pool, which are not installed",
)
COMMAND = [sys.executable, "-c", "from framework.cli import main; main()", "survey"]
OPTIONS = ["--check", "--index", "--quiet", "-o", "json"]


class Surveys:
    """Runs surveys of one tree into a catalogue."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        config = folder / "framework.yaml"
        config.write_text(json.dumps({"plugins": {name: {} for name in (*NEEDED, "survey")}}))
        self._environment = {**os.environ, "FRAMEWORK_CONFIG": str(config), "TMPDIR": str(folder)}
        self._environment["XDG_STATE_HOME"] = str(folder / "state")
        self._folder = folder

    def start(self, name: str, *options: str) -> subprocess.Popen[str]:
        targets = ["--catalogue", str(self._folder / name), "--report", str(self._folder / f"{name}.json"), "--force"]
        return subprocess.Popen(
            [*COMMAND, str(self.tree), *OPTIONS, *targets, *options],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def why(self, *arguments: str) -> str:
        command = [*COMMAND[:-1], "why", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=110).stdout

    def finish(self, name: str, *options: str) -> dict[str, Any]:
        output, errors = self.start(name, *options).communicate(timeout=110)
        found: dict[str, Any] = {"errors": errors} | (json.loads(output) if output else {})
        return found


@pytest.fixture
def surveys(tmp_path: Path) -> Surveys:
    return Surveys(tmp_path)


def make_tree(root: Path, files: int) -> None:
    numbers = random.Random(5)
    words = [f"word{number}" for number in range(2000)]
    root.mkdir()
    for number in range(files):
        folder = root / str(number % 7)
        folder.mkdir(exist_ok=True)
        text = " ".join(numbers.choices(words, k=numbers.randrange(3000)))
        (folder / f"{number}.txt").write_text(text)
        if number % 10 == 0:
            with zipfile.ZipFile(folder / f"{number}.zip", "w") as archive:
                archive.writestr("member", text)
            (folder / f"copy {number}.md").write_text(text)
            (folder / f"{number}.json").write_text("[1" if number % 20 else "[1]")
    newest = max(path.stat().st_ctime_ns for path in root.rglob("*"))
    while time.time_ns() < newest + 2 * UNSETTLED_NS:
        os.sched_yield()


def content_of(catalogue: Path) -> list[list[tuple[Any, ...]]]:
    """Return everything that a catalogue says of files, without what differs from run to run."""
    with closing(sqlite3.connect(catalogue)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.execute("INSERT INTO text_index (text_index) VALUES ('integrity-check')")
        return [
            database.execute(query).fetchall()
            for query in (
                "SELECT path, size, mtime_ns, ctime_ns, device, inode, digest, kind FROM file ORDER BY path",
                "SELECT digest, kind, verdict, problem, members, indexed FROM content ORDER BY digest, kind",
                "SELECT digest, kind, title, body, truncated FROM text JOIN content USING (id) ORDER BY digest, kind",
                "SELECT * FROM problem",
            )
        ]


def state_of(part: Path) -> tuple[int, int]:
    """Return what changes whenever a draft is committed."""
    try:
        found = part.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


def files_in(part: Path) -> int:
    """Return how many files were committed to a draft; 0 where there is none, or it was only just begun."""
    if not part.exists():
        return 0
    with closing(sqlite3.connect(part)) as database, suppress(sqlite3.OperationalError):
        return int(database.execute("SELECT COUNT(*) FROM file").fetchone()[0])
    return 0


def kill_after_a_commit(process: subprocess.Popen[str], part: Path, seconds: float) -> bool:
    """Kill a survey so many seconds after it has committed something; False when it ended before."""
    with process:
        before, deadline = state_of(part), time.monotonic() + 60
        while process.poll() is None and state_of(part) == before and time.monotonic() < deadline:
            os.sched_yield()
        moment = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < moment:
            os.sched_yield()
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    return killed


@pytest.mark.parametrize(
    ("kills", "files"),
    [pytest.param(2, 400, id="twice"), pytest.param(10, 4000, id="ten times", marks=pytest.mark.slow)],
)
def test_a_survey_that_is_killed_again_and_again_comes_to_the_same(
    surveys: Surveys, tmp_path: Path, kills: int, files: int
) -> None:
    make_tree(surveys.tree, files)
    expected = surveys.finish("calm")
    numbers = random.Random(11)
    moments = [0.0, *(numbers.uniform(0, 1.5) for _ in range(kills - 1))]  # the first kill is never too late
    killed = [kill_after_a_commit(surveys.start("killed"), tmp_path / "killed.part", one) for one in moments]
    assert any(killed)
    left = files_in(tmp_path / "killed.part")
    report = surveys.finish("killed")
    assert "error" not in report["errors"]
    assert content_of(tmp_path / "killed") == content_of(tmp_path / "calm")
    for key in ("duplicates", "verdicts", "damaged", "texts", "problems", "types"):
        assert report[key] == expected[key]
    assert report["totals"]["recalled"] >= left
    assert not (tmp_path / "killed.part").exists()


def test_workers_killed_on_request_change_nothing(surveys: Surveys, tmp_path: Path) -> None:
    make_tree(surveys.tree, 200)
    expected, report = surveys.finish("calm"), surveys.finish("wild", "--chaos", "kill=3")
    assert report["errors"] == ""
    assert content_of(tmp_path / "wild") == content_of(tmp_path / "calm")
    assert (report["died_workers"], report["killed_workers"]) == (3, 3)
    assert report["verdicts"] == expected["verdicts"]
    with closing(sqlite3.connect(tmp_path / "wild")) as database:
        assert database.execute("SELECT what, COUNT(*), COUNT(path) FROM event").fetchall() == [("killed", 3, 0)]


def stop_at_work(survey: subprocess.Popen[str], held: Callable[[], list[dict[str, Any]]]) -> set[int]:
    """Stop the workers of a survey while one of them has a batch, and return their numbers."""
    deadline = time.monotonic() + 60
    while survey.poll() is None and time.monotonic() < deadline:
        if not held():
            continue
        workers = {*tree(survey.pid)} - {survey.pid}
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        if held():
            return workers
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    raise AssertionError(f"no worker had a batch: {survey.communicate()}")


def test_another_process_is_told_which_batch_has_which_worker(surveys: Surveys, tmp_path: Path) -> None:
    from plugin_pool.cli.running import asked

    make_tree(surveys.tree, 1000)
    survey = surveys.start("calm")
    sockets = tmp_path / "state" / "framework" / "pool"

    def held() -> list[dict[str, Any]]:
        answers = asked(str(sockets), {"ask": "tasks"}) if sockets.exists() else []
        return [one for answer in answers for one in answer.get("held", ())]

    workers = stop_at_work(survey, held)
    try:
        rows = json.loads(surveys.why("-o", "json"))
        assert {row["process"] for row in rows} == {survey.pid}
        row = next(one for one in rows if one["state"] == "executing")
        assert row["task"].startswith(f"survey-{survey.pid} ")
        assert row["why"].startswith(f"holds survey-{survey.pid}-")
        assert "waits for nothing" in json.loads(surveys.why(row["task"], "-o", "json"))["sentence"]
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert json.loads(survey.communicate(timeout=110)[0])["verdicts"]
    assert not list(sockets.iterdir())


@pytest.mark.parametrize(("files", "kills", "killed"), [(3, 3, 3), (7, 3, 3), (2, 3, 2), (0, 3, 0)])
def test_as_many_workers_are_killed_as_there_is_work_for(
    surveys: Surveys, tmp_path: Path, files: int, kills: int, killed: int
) -> None:
    surveys.tree.mkdir()
    for number in range(files):
        (surveys.tree / f"{number}.json").write_text(f"[{number}]")
    (surveys.tree / "not looked into").write_bytes(bytes(9))
    report = surveys.finish("few", "--chaos", f"kill={kills}")
    assert report["errors"] == ""
    assert (report["died_workers"], report["killed_workers"], report["wanted_kills"]) == (killed, killed, kills)
    assert report["verdicts"] == ({"ok": files} if files else {})
    output, _ = surveys.start("few", "--chaos", f"kill={kills}", "-o", "table").communicate(timeout=110)
    assert f"0 died; 0 killed on request of {kills}, as there was no more to be looked into" in output


@pytest.mark.parametrize("chaos", ["kill", "kill=0", "kill=1001", "drop=3"])
def test_chaos_that_is_none_is_refused(surveys: Surveys, tmp_path: Path, chaos: str) -> None:
    surveys.tree.mkdir()
    assert "write it as kill=3" in surveys.finish("c", "--chaos", chaos)["errors"]
