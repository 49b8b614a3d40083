"""`framework survey duplicates --undo`: what it brings back, and what it leaves alone."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
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


def test_a_folder_that_is_gone_is_told(run: Run, tree: Path, undoable: Callable[[str], Path]) -> None:
    log = undoable("--delete")
    tree.rename(tree.with_name("elsewhere"))
    assert "the folder that it was in is missing" in run("duplicates", "--undo", log, code=1)[0]


NO_LINKS = """
import errno, os, sys
def refuse(event, arguments):
    if event == "os.link":
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
sys.addaudithook(refuse)
"""
"""What a file system without hard links answers, such as FAT on a stick."""
KILLED = """
import os, signal, sys
count = 0
def kill(event, arguments):
    global count
    if event in ("os.link", "os.rename", "os.remove", "os.truncate", "os.utime"):
        count += 1
        if count == {number}:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
"""


def test_names_come_back_on_a_file_system_without_hard_links(
    run: Run, tree: Path, undoable: Callable[[str], Path]
) -> None:
    log = undoable("--delete")
    run("duplicates", "--undo", log, hook=NO_LINKS)
    assert {path.name: path.read_text() for path in tree.iterdir()} == dict.fromkeys(("a", "b", "b2"), "same")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("action", ["--delete", "--hardlink"])
@pytest.mark.parametrize("number", [*(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2, 3, 6, 7)), 4, 5])
def test_an_undo_that_is_killed_at_any_step_is_gone_on_with(
    run: Run, tree: Path, undoable: Callable[[str], Path], number: int, action: str, *, links: bool
) -> None:
    log = undoable(action)
    refusing = "" if links else NO_LINKS
    run("duplicates", "--undo", log, code=-signal.SIGKILL, hook=KILLED.format(number=number) + refusing)
    run("duplicates", "--undo", log, hook=refusing)
    assert {path.name: path.read_text() for path in tree.iterdir()} == dict.fromkeys(("a", "b", "b2"), "same")
    assert {path.stat().st_mtime for path in (tree / "b", tree / "b2")} == {2}
    assert not links or (tree / "b").samefile(tree / "b2")
    assert not (tree / "a").samefile(tree / "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_the_group_comes_back_also_in_a_folder_that_gives_its_own_one(
    run: Run, tree: Path, undoable: Callable[[str], Path]
) -> None:
    os.chown(tree, -1, 12345)
    tree.chmod(0o2755)  # files that are made in it get its group
    (tree / "b").touch()
    os.chown(tree / "b", 0, 0)
    log = undoable("--delete")
    run("duplicates", "--undo", log)
    assert ((tree / "b").stat().st_uid, (tree / "b").stat().st_gid) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_what_cannot_be_given_its_owner_back_comes_back_without(
    run: Run, tree: Path, undoable: Callable[[str], Path]
) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (Debian package util-linux) is not installed")
    (tree / "b").touch()
    os.chown(tree / "b", 54321, 54321)
    (tree / "b").chmod(0o4755)
    log = undoable("--delete")
    output, _ = run("duplicates", "--undo", log, prefix=("setpriv", "--bounding-set=-chown,-fsetid"))
    assert "its owner 54321:54321 cannot be given back" in output
    assert {path.name: path.read_text() for path in tree.iterdir()} == dict.fromkeys(("a", "b", "b2"), "same")
    assert stat.S_IMODE((tree / "b").stat().st_mode) == 0o755  # not the rights of the one who has it now
