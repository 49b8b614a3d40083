"""What `framework survey duplicates --apply` does when others write, merge, mount or kill at the worst moment."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_survey.use.copy import ASIDE, TEMPORARY, Copy, Equal
from plugin_survey.use.keep import RULES, split

Catalogued = Callable[[], str]
Run = Callable[..., tuple[str, str]]
Start = Callable[..., subprocess.Popen[str]]

ON = """
import fcntl, os, signal, sys
def watch():
    count = 0
    def hook(event, arguments):
        nonlocal count
        if event in {events!r} and ({given!r} is None or {given!r} in arguments):
            count += 1
            if count == {number}:
                {deed}
    sys.addaudithook(hook)
watch()
"""
"""Does something just before the system is asked for something, of something, for the n-th time."""
DELETING = ("--delete", "--keep", "first", "--apply")


def on(*events: str, deed: str, given: object = None, number: int = 1) -> str:
    return ON.format(events=events, deed=deed, given=given, number=number)


def actions(output: str) -> dict[str, str]:
    return {os.path.basename(row["path"]): row["action"] for row in json.loads(output)}


@pytest.fixture
def pair(tree: Path, catalogued: Catalogued) -> str:
    """Two equal files, of which `b` is the older one."""
    for name, seconds in (("a", 200), ("b", 100)):
        (tree / name).write_text("same")
        os.utime(tree / name, (seconds, seconds))
    return catalogued()


@pytest.mark.parametrize("changed", ["a", "b"])
@pytest.mark.parametrize("action", ["--delete", "--hardlink"])
def test_a_file_that_is_written_to_while_it_is_compared_is_the_last_of_its_content_no_more(
    run: Run, pair: str, tree: Path, changed: str, action: str
) -> None:
    opened = f"(file := os.open({str(tree / changed)!r}, os.O_WRONLY))"
    write = on("fcntl.fcntl", given=fcntl.F_SETSIG, deed=f"{opened}, os.pwrite(file, b'SAME', 0), os.close(file)")
    arguments = ("duplicates", "--catalogue", pair, action, "--keep", "first", "--apply", "-o", "json")
    output, _ = run(*arguments, code=1, hook=write)
    assert actions(output) == {"a": "keep", "b": "left"}
    assert "was changed while they were compared" in output
    assert {(tree / name).read_text() for name in ("a", "b")} == {"same", "SAME"}


def test_a_link_of_what_was_put_in_the_place_of_the_kept_file_does_not_stay(run: Run, pair: str, tree: Path) -> None:
    kept, aside = str(tree / "a"), str(tree / "aside")
    replace = on(
        "os.link",
        given=os.fsencode(tree / "a"),
        deed=f"os.rename({kept!r}, {aside!r}), open({kept!r}, 'w').write('new')",
    )
    arguments = ("duplicates", "--catalogue", pair, "--hardlink", "--keep", "first", "--apply", "-o", "json")
    output, _ = run(*arguments, code=1, hook=replace)
    assert actions(output) == {"a": "keep", "b": "left"}
    assert {path.name: path.read_text() for path in tree.iterdir()} == {"a": "new", "aside": "same", "b": "same"}


@pytest.mark.parametrize("opened", ["a", "b"])
def test_what_somebody_has_open_to_write_to_is_left_alone(run: Run, pair: str, tree: Path, opened: str) -> None:
    with (tree / opened).open("r+b"):
        output, _ = run("duplicates", "--catalogue", pair, *DELETING, "-o", "json", code=1)
    assert actions(output) == {"a": "keep", "b": "left"}
    assert "open to write to it" in output
    assert (tree / "b").read_text() == "same"
    run("duplicates", "--catalogue", pair, *DELETING)
    assert os.listdir(tree) == ["a"]


def test_who_wants_to_write_waits_until_the_file_is_gone_from_its_name(start: Start, pair: str, tree: Path) -> None:
    stop = on("os.rename", given=b"b", deed="os.kill(os.getpid(), signal.SIGSTOP)")
    with start("duplicates", "--catalogue", pair, *DELETING, hook=stop) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(BlockingIOError):
            os.open(tree / "b", os.O_WRONLY | os.O_NONBLOCK)
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, output + errors
    assert os.listdir(tree) == ["a"]


def test_what_another_program_has_locked_is_left_alone(run: Run, pair: str, tree: Path) -> None:
    for name, found in (("a", {"a": "left", "b": "left"}), ("b", {"a": "keep", "b": "left"})):
        with (tree / name).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            output, _ = run("duplicates", "--catalogue", pair, *DELETING, "-o", "json", code=1)
        assert actions(output) == found
        assert "another program has locked it" in output


def test_two_with_catalogues_of_their_own_do_not_each_delete_what_the_other_keeps(
    start: Start, run: Run, pair: str, tree: Path, tmp_path: Path
) -> None:
    other = shutil.copy(pair, tmp_path / "other.sqlite")
    stop = on(
        "os.rename", given=b"b", deed="os.kill(os.getpid(), signal.SIGSTOP)"
    )  # between the last look and the deed
    with start("duplicates", "--catalogue", pair, *DELETING, hook=stop) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        arguments = ("duplicates", "--catalogue", other, "--delete", "--keep", "oldest", "--apply", "-o", "json")
        assert set(actions(run(*arguments, code=1)[0]).values()) == {"left"}
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=100)
    assert os.listdir(tree) == ["a"]
    assert (tree / "a").read_text() == "same"


NO_LOCKS = """
import errno, os, sys
def refuse(event, arguments):
    if event == "fcntl.flock":
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
sys.addaudithook(refuse)
"""
"""What NFS answers to who wants to lock a file that it is not open to write to; others say that they have no locks."""
ELSEWHERE = """
import fcntl, os
del os.O_PATH, os.listxattr, os.getxattr, fcntl.F_SETLEASE, fcntl.F_SETSIG
"""
"""What is missing outside of Linux."""


@pytest.mark.parametrize("lacking", [NO_LOCKS, ELSEWHERE])
def test_where_there_are_no_guards_duplicates_are_deleted_and_brought_back_all_the_same(
    run: Run, pair: str, tree: Path, tmp_path: Path, lacking: str
) -> None:
    run("duplicates", "--catalogue", pair, *DELETING, "--log", "log", hook=lacking)
    assert os.listdir(tree) == ["a"]
    run("duplicates", "--undo", "log", hook=lacking)
    assert sorted(os.listdir(tree)) == ["a", "b"]


LAYERED = """
mount -t overlay overlay -o lowerdir=tree/lower,upperdir=tree/upper,workdir=tree/work tree/merged || exit 77
"$@" tree --quiet || exit 1
for rule in first newest oldest shortest; do
    "$@" duplicates tree --delete --keep $rule --apply
    test -e tree/merged/doc && test -e tree/upper/doc || exit 1
done
"""


def test_a_file_that_two_file_systems_show_is_not_its_own_duplicate(tree: Path, environment: dict[str, str]) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (tree / name).mkdir()
    (tree / "upper" / "doc").write_text("the only copy")
    program = [sys.executable, "-c", "from framework.cli import main; main()", "survey"]
    if shutil.which("unshare") is None:
        pytest.skip("unshare (Debian package util-linux) is not installed")
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", LAYERED, "sh", *program]
    done = subprocess.run(command, env=environment, cwd=tree.parent, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"layers cannot be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of the one that is kept, which is shown twice" in done.stdout
    assert (tree / "upper" / "doc").read_text() == "the only copy"
    assert not list(tree.rglob(f"{ASIDE.decode()}*"))


def test_a_file_that_goes_with_what_is_kept_gets_its_name_back(run: Run, pair: str, tree: Path, tmp_path: Path) -> None:
    # as on a server whose links look like files: without the one name there is nothing at the other
    hide = f"os.rename({str(tree / 'a')!r}, {str(tmp_path / 'aside')!r})"
    hook = on("os.rename", "os.remove", given=b"b", deed=hide)
    output, _ = run("duplicates", "--catalogue", pair, *DELETING, "-o", "json", code=1, hook=hook)
    assert actions(output) == {"a": "keep", "b": "left"}
    assert "they are one file" in output
    assert {path.name: path.read_text() for path in tree.iterdir()} == {"b": "same"}


def test_what_is_put_in_the_place_of_a_file_at_the_last_moment_does_not_go(run: Run, pair: str, tree: Path) -> None:
    replace = f"os.unlink({str(tree / 'b')!r}), open({str(tree / 'b')!r}, 'w').write('precious')"
    hook = on("os.rename", "os.remove", given=b"b", deed=replace)
    output, _ = run("duplicates", "--catalogue", pair, *DELETING, "-o", "json", code=1, hook=hook)
    assert actions(output) == {"a": "keep", "b": "left"}
    assert {path.name: path.read_text() for path in tree.iterdir()} == {"a": "same", "b": "precious"}


def test_what_gets_the_name_of_a_file_that_is_put_back_stays_and_it_is_told_where_that_is(
    run: Run, pair: str, tree: Path, tmp_path: Path
) -> None:
    hide = f"os.rename({str(tree / 'a')!r}, {str(tmp_path / 'aside')!r})"
    take = f"open({str(tree / 'b')!r}, 'x').write('new')"
    hook = on("os.rename", given=b"b", deed=hide) + on("os.link", deed=take)
    output, _ = run("duplicates", "--catalogue", pair, *DELETING, "-o", "json", code=1, hook=hook)
    assert "its name cannot be given back (File exists)" in output
    aside = next(tree.glob(f"{ASIDE.decode()}*"))
    assert aside.name in output
    assert {path.name: path.read_text() for path in tree.iterdir()} == {"b": "new", aside.name: "same"}


def test_a_folder_that_is_replaced_by_a_link_leads_to_no_other_file(
    run: Run, tree: Path, catalogued: Catalogued, tmp_path: Path
) -> None:
    for folder in (tree / "a", tree / "b", tmp_path / "elsewhere"):
        folder.mkdir()
        (folder / "passwd").write_text("same" if folder.parent == tree else "precious")
    catalogue = catalogued()
    here, aside, elsewhere = (str(one) for one in (tree / "b", tree / "c", tmp_path / "elsewhere"))
    moved = f"os.rename({here!r}, {aside!r}), os.symlink({elsewhere!r}, {here!r})"
    run("duplicates", "--catalogue", catalogue, *DELETING, hook=on("os.rename", given=b"passwd", deed=moved))
    assert (tmp_path / "elsewhere" / "passwd").read_text() == "precious"
    assert os.listdir(tree / "c") == []


def test_attributes_that_would_be_lost_are_said(run: Run, tree: Path, pair: str, catalogued: Catalogued) -> None:
    try:
        os.setxattr(tree / "b", "user.rating", b"5")
    except OSError as error:
        pytest.skip(f"the file system has no extended attributes: {error}")
    output, _ = run("duplicates", "--catalogue", catalogued(), "--hardlink", "--keep", "first")
    assert "extended attributes 'user.rating'" in output


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [TEMPORARY, ASIDE])
def test_a_name_that_one_who_was_killed_left_is_not_the_one_that_is_kept(rule: str, name: bytes) -> None:
    left = Copy((b"/" + name + b"1",), 1, 1, 1, 0, 0)
    whole = [Copy((b"/somewhere/longer/%d" % time,), 1, 1, time, time, 0) for time in (-1, 1)]
    kept, others = split(Equal(1, b"", (left, *whole)), rule)
    assert kept in whole
    assert left in others


STEPS = 23
"""How often the command below asks the system for one of the things below."""
ASKED = ("os.link", "os.rename", "os.remove", "fcntl.fcntl", "fcntl.flock")


@pytest.mark.parametrize(
    "number", [*(pytest.param(one, marks=pytest.mark.slow) for one in range(1, STEPS + 1)), 5, 8, 11]
)
@pytest.mark.parametrize("action", ["--hardlink", "--delete"])
def test_whoever_is_killed_at_any_step_loses_nothing_and_all_is_undone(
    run: Run, tree: Path, catalogued: Catalogued, tmp_path: Path, action: str, number: int
) -> None:
    for seconds, name in enumerate(("a", "b", "c")):
        (tree / name).write_text("same")
        (tree / name).chmod(0o600 + seconds)
        os.utime(tree / name, (seconds, seconds))
    os.link(tree / "b", tree / "b2")
    before = facts(tree)
    arguments = ("duplicates", "--catalogue", catalogued(), action, "--keep", "first", "--apply", "--log", "log")
    kill = on(*ASKED, deed="os.kill(os.getpid(), signal.SIGKILL)", number=number)
    run(*arguments, code=-signal.SIGKILL, hook=kill)
    left = {path.name: path.read_text() for path in tree.iterdir()}
    assert set(left.values()) == {"same"}
    assert action == "--delete" or {"a", "b", "b2", "c"} <= set(left)
    if (tmp_path / "log").exists():
        run("duplicates", "--undo", "log")
    assert facts(tree) == before


def facts(tree: Path) -> dict[str, tuple[str, int, float, tuple[str, ...]]]:
    """Return content, mode, time and further names of each name."""
    found = {path.name: path.stat() for path in tree.iterdir()}
    return {
        name: (
            (tree / name).read_text(),
            one.st_mode,
            one.st_mtime,
            tuple(sorted(other for other, two in found.items() if two.st_ino == one.st_ino)),
        )
        for name, one in found.items()
    }
