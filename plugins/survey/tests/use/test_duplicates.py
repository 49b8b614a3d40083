"""`framework survey duplicates`: what it shows, and that it never loses a content."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plugin_survey.use.copy import TEMPORARY

Catalogued = Callable[[], str]
Run = Callable[..., tuple[str, str]]
Start = Callable[..., subprocess.Popen[str]]
MANY = 600


def fill(tree: Path, **files: str) -> None:
    for name, content in files.items():
        (tree / name).write_text(content)


def rows(output: str) -> dict[str, str]:
    return {os.path.basename(row["path"]): row["action"] for row in json.loads(output)}


@pytest.fixture
def trio(tree: Path, catalogued: Catalogued) -> str:
    """Three equal files, of which `b` is the oldest, and another one."""
    fill(tree, a="same", b="same", ccc="same", other="different")
    for name, seconds in (("a", 300), ("b", 100), ("ccc", 200)):
        os.utime(tree / name, (seconds, seconds))
    return catalogued()


def test_groups_are_shown_with_what_they_waste(run: Run, trio: str, tree: Path) -> None:
    output, errors = run("duplicates", "--catalogue", trio)
    assert [line.split()[-1] for line in output.splitlines()[1:]] == [str(tree / name) for name in ("a", "b", "ccc")]
    assert "1 groups; 8 bytes (8 B) wasted" in errors
    group = json.loads(run("duplicates", "--catalogue", trio, "-o", "json")[0])[0]
    assert (group["size"], group["wasted_bytes"], len(group["files"])) == (4, 8, 3)


def test_only_what_is_below_the_path_counts(run: Run, tree: Path, catalogued: Catalogued) -> None:
    for name in ("in", "in0", "out"):
        (tree / name).mkdir()
        fill(tree / name, one="same")
    fill(tree / "in", two="same")
    catalogue = catalogued()
    files = json.loads(run("duplicates", tree / "in", "--catalogue", catalogue, "-o", "json")[0])[0]["files"]
    assert [one["path"] for one in files] == [str(tree / "in" / "one"), str(tree / "in" / "two")]


@pytest.mark.parametrize("action", ["--hardlink", "--delete"])
def test_without_apply_nothing_is_touched(run: Run, trio: str, tree: Path, tmp_path: Path, action: str) -> None:
    before = {path: path.lstat() for path in tree.iterdir()}
    output, errors = run("duplicates", "--catalogue", trio, action, "--keep", "first", "-o", "json")
    assert rows(output) == {"a": "keep", "b": action[2:], "ccc": action[2:]}
    assert "nothing was touched" in errors
    assert {path: path.lstat() for path in tree.iterdir()} == before
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(("rule", "kept"), [("oldest", "b"), ("newest", "a"), ("first", "a"), ("shortest", "a")])
def test_delete_keeps_one_by_the_rule(run: Run, trio: str, tree: Path, rule: str, kept: str) -> None:
    run("duplicates", "--catalogue", trio, "--delete", "--keep", rule, "--apply")
    assert sorted(os.listdir(tree)) == sorted([kept, "other"])


def test_links_take_the_place_of_equal_files(run: Run, trio: str, tree: Path) -> None:
    os.link(tree / "other", tree / "other2")
    output, _ = run("duplicates", tree, "--catalogue", trio, "--hardlink", "--apply", "-o", "json")
    assert rows(output) == {"b": "keep", "a": "linked", "ccc": "linked"}
    assert {(tree / name).stat().st_ino for name in ("a", "b", "ccc")} == {(tree / "b").stat().st_ino}
    assert sorted(os.listdir(tree)) == ["a", "b", "ccc", "other", "other2"]


def test_all_names_of_a_file_are_treated_and_those_of_the_kept_one_stay(
    run: Run, tree: Path, catalogued: Catalogued
) -> None:
    fill(tree, a="same", b="same")
    os.link(tree / "a", tree / "a2")
    os.link(tree / "b", tree / "b2")
    run("duplicates", "--catalogue", catalogued(), "--delete", "--keep", "first", "--apply")
    assert sorted(os.listdir(tree)) == ["a", "a2"]


@pytest.mark.parametrize("action", ["--hardlink", "--delete"])
def test_a_file_with_several_names_is_freed_once_and_only_with_the_last(
    run: Run, tree: Path, catalogued: Catalogued, tmp_path: Path, action: str
) -> None:
    fill(tree, a="same", b="same", c="same")
    os.link(tree / "b", tree / "b2")
    os.link(tree / "c", tmp_path / "c, which nobody surveyed")
    arguments = ("duplicates", "--catalogue", catalogued(), action, "--keep", "first")
    assert f"would {action[2:]} 3 names (4 B)" in run(*arguments)[1]
    assert "3 names (4 B)" in run(*arguments, "--apply")[1]


def test_other_modes_are_said_before_they_are_lost(run: Run, tree: Path, catalogued: Catalogued) -> None:
    fill(tree, a="same", b="same")
    (tree / "a").chmod(0o640)
    (tree / "b").chmod(0o600)
    output, _ = run("duplicates", "--catalogue", catalogued(), "--hardlink", "--keep", "first")
    assert "mode 0600, kept 0640" in output


def alter_keeping_time(path: Path) -> None:
    former = path.stat()
    path.write_text("SAME")
    os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_text("longer"), "written to since"),
        (alter_keeping_time, "changed otherwise since"),
        (lambda path: (path.unlink(), path.write_text("same")), "since"),
        (lambda path: (path.unlink(), path.symlink_to("a")), "cannot be opened"),
        (lambda path: (path.unlink(), path.mkdir()), "no regular file"),
        (become_pipe, "no regular file"),
    ],
    ids=["missing", "written", "written keeping the time", "replaced", "a link", "a folder", "a pipe"],
)
@pytest.mark.parametrize("action", ["--hardlink", "--delete"])
def test_what_is_not_as_it_was_surveyed_is_left_alone(
    run: Run, trio: str, tree: Path, change: Callable[[Path], object], why: str, action: str
) -> None:
    change(tree / "ccc")
    before = (tree / "ccc").lstat() if os.path.lexists(tree / "ccc") else None
    output, _ = run("duplicates", "--catalogue", trio, action, "--keep", "first", "--apply", "-o", "json", code=1)
    found = json.loads(output)
    assert rows(output)["ccc"] == "left"
    assert why in next(row["note"] for row in found if row["path"].endswith("ccc"))
    assert (before is None) == (not os.path.lexists(tree / "ccc"))
    if before is not None:
        assert (tree / "ccc").lstat().st_ino == before.st_ino
    assert rows(output)["b"] in {"linked", "deleted"}


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("else")], ids=["missing", "written"])
def test_when_the_one_to_keep_is_not_there_nothing_of_its_group_is_touched(
    run: Run, trio: str, tree: Path, change: Callable[[Path], object]
) -> None:
    change(tree / "a")
    output, _ = run("duplicates", "--catalogue", trio, "--delete", "--keep", "first", "--apply", "-o", "json", code=1)
    assert set(rows(output).values()) == {"left"}
    assert (tree / "b").read_text() == (tree / "ccc").read_text() == "same"


def test_a_content_that_only_the_catalogue_takes_for_equal_is_found_out(run: Run, trio: str, tree: Path) -> None:
    # as if it had been altered without a trace: the catalogue agrees with what the system says of the file
    alter_keeping_time(tree / "ccc")
    with closing(sqlite3.connect(trio)) as database, database:
        path = os.fsencode(tree / "ccc")
        database.execute("UPDATE file SET ctime_ns = ? WHERE path = ?", ((tree / "ccc").stat().st_ctime_ns, path))
    output, _ = run("duplicates", "--catalogue", trio, "--delete", "--keep", "first", "--apply", "-o", "json", code=1)
    assert rows(output) == {"a": "keep", "b": "deleted", "ccc": "left"}
    assert (tree / "ccc").read_text() == "SAME"


def test_a_catalogue_of_another_machine_touches_nothing(run: Run, trio: str, tree: Path) -> None:
    with closing(sqlite3.connect(trio)) as database, database:
        database.execute("UPDATE file SET device = device + 1")
    output, _ = run("duplicates", "--catalogue", trio, "--delete", "--keep", "first", "--apply", code=1)
    assert "on another device than when it was surveyed" in output
    assert sorted(os.listdir(tree)) == ["a", "b", "ccc", "other"]


def test_what_may_not_be_changed_is_reported(run: Run, trio: str, tree: Path) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("running as root, and setpriv (Debian package util-linux) is not installed")
        prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
    tree.chmod(0o500)
    arguments = ("duplicates", "--catalogue", trio, "--delete", "--keep", "first", "--apply")
    output, _ = run(*arguments, code=1, prefix=prefix)
    tree.chmod(0o700)
    assert "Permission denied" in output
    assert len(os.listdir(tree)) == 4


def test_names_that_no_terminal_should_see_can_be_pasted(run: Run, tree: Path, catalogued: Catalogued) -> None:
    name = os.fsencode(tree) + b"/\x1b[31m\xff it's\n"
    for path in (name, os.fsencode(tree / "plain")):
        with open(path, "wb") as file:
            file.write(b"same")
    catalogue = catalogued()
    output, _ = run("duplicates", "--catalogue", catalogue)
    assert "\x1b" not in output
    word = next(line for line in output.splitlines() if "$'" in line).partition("$'")[2]
    shell = subprocess.run(["bash", "-c", f"printf %s $'{word}"], capture_output=True, check=True)
    assert shell.stdout == name
    run("duplicates", "--catalogue", catalogue, "--delete", "--keep", "shortest", "--apply")
    assert os.listdir(os.fsencode(tree)) == [b"plain"]


@pytest.mark.parametrize("action", ["--hardlink", "--delete"])
def test_undo_brings_back_names_links_modes_and_times(
    run: Run, tree: Path, catalogued: Catalogued, tmp_path: Path, action: str
) -> None:
    fill(tree, a="same", b="same", c="same")
    (tree / "b").chmod(0o604)
    os.link(tree / "b", tree / "b2")
    os.utime(tree / "b", ns=(5, 123_456_789))
    log = tmp_path / "log"
    run("duplicates", "--catalogue", catalogued(), action, "--keep", "first", "--apply", "--log", log)
    run("duplicates", "--undo", log)
    assert {path.name: path.read_text() for path in tree.iterdir()} == dict.fromkeys(("a", "b", "b2", "c"), "same")
    found = (tree / "b").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_nlink) == (0o604, 123_456_789, 2)
    assert len({(tree / name).stat().st_ino for name in ("a", "b", "c")}) == 3
    assert {row["action"] for row in json.loads(run("duplicates", "--undo", log, "-o", "json")[0])} == {"was there"}


def test_undo_does_not_copy_what_is_not_the_former_content(run: Run, tree: Path, trio: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run("duplicates", "--catalogue", trio, "--delete", "--keep", "first", "--apply", "--log", log)
    (tree / "a").write_text("else")
    output, _ = run("duplicates", "--undo", log, code=1)
    assert "other content now" in output
    assert sorted(os.listdir(tree)) == ["a", "other"]


def test_without_a_log_nothing_is_done(run: Run, trio: str, tree: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("mine")
    arguments = ("duplicates", "--catalogue", trio, "--delete", "--keep", "first", "--apply", "--log", log)
    assert "nothing more is done" in run(*arguments, code=3)[1]
    assert len(os.listdir(tree)) == 4
    assert log.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--delete",), "--delete needs --keep"),
        (("--apply",), "add --hardlink or --delete"),
        (("--hardlink", "--apply"), "--apply needs PATH or --catalogue"),
        (("--delete", "--keep", "first", "--limit", "3"), "treat all groups"),
        (("--hardlink", "--log", "log"), "--apply only"),
        (("--near", "--min-size", "9"), "--near only shows"),
        (("--undo", "log", "--keep", "first"), "nothing but the log"),
        (("--undo", "log", "--min-size", "0"), "nothing but the log"),
        (("--undo", "missing"), "cannot be read: No such file"),
        (("--undo", "framework.yaml"), "not an undo log"),
    ],
)
def test_wrong_use_is_explained(run: Run, arguments: tuple[str, ...], message: str) -> None:
    assert message in run("duplicates", *arguments, code=2)[1]


@pytest.fixture
def many(tree: Path, catalogued: Catalogued) -> str:
    for number in range(MANY):
        (tree / f"{number:04}").write_text("same")
    return catalogued()


def interrupted(process: subprocess.Popen[str], log: Path, number: signal.Signals) -> None:
    """Send a signal once some names were treated, and wait for the end."""
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size > 5000) and process.poll() is None:
        assert time.monotonic() < deadline
        os.sched_yield()
    process.send_signal(number)


def temporary(tree: Path) -> Iterator[Path]:
    return tree.glob(TEMPORARY.decode() + "*")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_whoever_is_interrupted_leaves_every_name_whole_and_can_go_on(
    start: Start, run: Run, catalogued: Catalogued, many: str, tree: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = ("duplicates", "--catalogue", many, "--hardlink", "--keep", "first", "--apply", "--log")
    with start(*arguments, tmp_path / "log") as process:
        interrupted(process, tmp_path / "log", number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number), output + errors
    left = set(temporary(tree))
    assert len(left) <= (number == signal.SIGKILL)
    names = [tree / f"{one:04}" for one in range(MANY)]
    assert {path.read_text() for path in names} == {"same"}
    linked = sum(path.stat().st_ino == names[0].stat().st_ino for path in names)
    assert 1 < linked < MANY
    if number == signal.SIGINT:
        assert f"linked {linked - 1:,} names" in errors
        assert "Traceback" not in errors

    catalogued()
    run(*arguments, tmp_path / "log2")
    assert {path.stat().st_ino for path in names} == {names[0].stat().st_ino}
    assert set(tree.iterdir()) == set(names)


def test_a_deletion_that_is_killed_keeps_one_and_is_undone(
    start: Start, run: Run, many: str, tree: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with start("duplicates", "--catalogue", many, "--delete", "--keep", "newest", "--apply", "--log", log) as process:
        interrupted(process, log, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 1 <= len(os.listdir(tree)) < MANY
    run("duplicates", "--undo", log)
    assert sorted(os.listdir(tree)) == [f"{one:04}" for one in range(MANY)]
    assert {path.read_text() for path in tree.iterdir()} == {"same"}
