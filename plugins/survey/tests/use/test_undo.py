"""`framework survey duplicates --undo`: what it brings back, and what it leaves alone."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_survey.use.copy import TEMPORARY

Catalogued = Callable[[], str]
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def undoable(run: Run, tree: Path, catalogued: Catalogued, tmp_path: Path) -> Callable[[str], Path]:
    """Make `b`, which has a second name, go for `a`, and return the log."""

    def undoable(action: str) -> Path:
        for name, seconds in (("a", 1), ("b", 2)):
            (tree / name).write_text("same")
            os.utime(tree / name, (seconds, seconds))
        os.link(tree / "b", tree / "b2")
        log = tmp_path / "log"
        run("duplicates", "--catalogue", catalogued(), action, "--keep", "first", "--apply", "--log", log)
        return log

    return undoable


def actions(output: str) -> dict[str, str]:
    return {os.path.basename(row["path"]): row["action"] for row in json.loads(output)}


@pytest.mark.parametrize("action", ["--delete", "--hardlink"])
def test_another_file_that_took_the_name_stays_and_is_told(
    run: Run, tree: Path, undoable: Callable[[str], Path], action: str
) -> None:
    log = undoable(action)
    (tree / "b").unlink(missing_ok=True)
    (tree / "b").write_text("new")
    output, _ = run("duplicates", "--undo", log, "-o", "json", code=1)
    assert actions(output) == {"b": "left", "b2": "restored"}
    assert "another file has its name now" in output
    assert [(tree / name).read_text() for name in ("a", "b", "b2")] == ["same", "new", "same"]


@pytest.mark.parametrize("action", ["--delete", "--hardlink"])
def test_what_a_killed_undo_left_is_no_obstacle_and_names_become_links_again(
    run: Run, tree: Path, undoable: Callable[[str], Path], action: str
) -> None:
    log = undoable(action)
    inode = json.loads(log.read_text().splitlines()[0])["inode"]
    run("duplicates", "--undo", log)
    for name in ("b",):  # as if it had been killed when only the other name was back
        (tree / name).unlink()
        if action == "--hardlink":
            os.link(tree / "a", tree / name)
    (tree / f".survey-undo-{inode:x}").write_text("half a fi")
    os.link(tree / "a", tree / f"{TEMPORARY.decode()}{inode:x}")  # what a killed --hardlink leaves
    output, _ = run("duplicates", "--undo", log, "-o", "json")
    assert actions(output) == {"b": "restored", "b2": "was there"}
    assert (tree / "b").stat().st_ino == (tree / "b2").stat().st_ino != (tree / "a").stat().st_ino
    strays = {path.name for path in tree.iterdir()} - {"a", "b", "b2"}
    assert len(strays) == (action == "--delete")  # which has nothing to do with links


def test_a_kept_file_that_is_gone_is_told(run: Run, tree: Path, undoable: Callable[[str], Path]) -> None:
    log = undoable("--delete")
    (tree / "a").unlink()
    assert "the file that was kept cannot be opened" in run("duplicates", "--undo", log, code=1)[0]


def test_holes_take_no_space_again(run: Run, tree: Path, catalogued: Catalogued, tmp_path: Path) -> None:
    size = 64 << 20
    for name in ("a", "b"):
        with (tree / name).open("wb") as file:
            file.seek(10 << 20)
            file.write(b"in the middle")
            file.truncate(size)
    log = tmp_path / "log"
    run("duplicates", "--catalogue", catalogued(), "--delete", "--keep", "first", "--apply", "--log", log)
    run("duplicates", "--undo", log)
    assert subprocess.run(["cmp", tree / "a", tree / "b"], check=False).returncode == 0
    assert (tree / "b").stat().st_blocks * 512 < size / 4


def test_a_log_is_undone_by_one_at_a_time(run: Run, undoable: Callable[[str], Path]) -> None:
    log = undoable("--delete")
    with log.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "Somebody else is undoing" in run("duplicates", "--undo", log, code=3)[1]
    run("duplicates", "--undo", log)


@pytest.mark.parametrize(
    "change",
    [
        {"inode": "1"},
        {"mode": None},
        {"path": {"path": "relative"}},
        {"kept": {"path": "/a\0b"}},
        {"path": "text"},
        {"path": {"path_bytes": "?"}},
    ],
    ids=str,
)
def test_a_log_that_is_none_is_refused(run: Run, undoable: Callable[[str], Path], change: dict[str, object]) -> None:
    log = undoable("--delete")
    entries = [{**json.loads(line), **change} for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    errors = run("duplicates", "--undo", log, code=2)[1]
    assert "is not an undo log" in errors
    assert "Traceback" not in errors
