"""The command as people run it: real processes, with the plugins it requires."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS
from plugin_survey.reading.engine import MANY_FILES

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("plugin_executors", "plugin_file")),
    reason="the command needs the plugins executors and file, which are not installed",
)

COMMAND = [sys.executable, "-c", "from framework.cli import main; main()", "survey"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    # only what the command requires: other plugins, whatever their state, must not matter
    config = tmp_path_factory.mktemp("config") / "framework.yaml"
    config.write_text("plugins: {survey: {}, executors: {}, file: {}}")
    places = {"XDG_STATE_HOME": tmp_path / "state", "TMPDIR": tmp_path, "FRAMEWORK_CONFIG": config}
    return {**os.environ, **{name: str(path) for name, path in places.items()}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for name in ("one", "two"):
        (root / name).write_text("same")
    (root / "other").write_text("different")
    return root


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    def run(*arguments: object, prefix: tuple[str, ...] = (), code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [*prefix, *COMMAND, *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        return done

    return run


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_json_on_standard_output_is_the_report_that_was_written(run: Run, tree: Path, tmp_path: Path) -> None:
    done = run("tree", "-o", "json")
    report = json.loads(done.stdout)
    folder = next((tmp_path / "state" / "framework" / "survey").iterdir())
    assert folder.name.startswith("tree-")
    assert files_below(folder) == ["catalogue.sqlite", "report.json"]
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["totals"]["files"] == 3
    assert [one["path"] for one in report["duplicates"][0]["files"]] == [str(tree / "one"), str(tree / "two")]
    assert f"catalogue: {folder}/catalogue.sqlite\nreport: {folder}/report.json\n" in done.stderr
    assert files_below(tree) == ["one", "other", "two"]


def test_the_table_has_the_summary_and_the_groups(run: Run, tree: Path) -> None:
    output = run("tree").stdout
    assert "duplicates  1 in 1 groups" in output
    assert str(tree / "one") in output


def test_quiet_says_nothing_on_standard_error(run: Run, tree: Path) -> None:
    assert run("tree", "--quiet").stderr == ""


def test_files_go_where_they_are_told_even_inside_the_tree(run: Run, tree: Path) -> None:
    for _ in range(2):  # the second run replaces what the first one wrote, and does not survey it
        report = json.loads(
            run(tree, "--catalogue", tree / "c", "--report", tree / "r.json", "--force", "-o", "json").stdout,
        )
        assert report["totals"]["files"] == 3
        assert files_below(tree) == ["c", "one", "other", "r.json", "two"]
    with closing(sqlite3.connect(tree / "c")) as database:
        assert database.execute("SELECT COUNT(*) FROM file").fetchone() == (3,)


def test_a_path_that_does_not_exist_is_a_usage_error_and_leaves_nothing(run: Run, tree: Path, tmp_path: Path) -> None:
    done = run("tree", "missing", code=2)
    assert "'missing' cannot be surveyed: No such file or directory" in done.stderr
    assert done.stdout == ""
    assert os.listdir(tmp_path) == ["tree"]


def test_each_report_that_was_asked_for_is_written(run: Run, tree: Path, tmp_path: Path) -> None:
    names = ("r.html", "r.json", "r.xlsx")
    (tree / "<img src=x>\x1b").write_text("same")
    done = run("tree", *(word for name in names for word in ("--report", name)))
    assert {name for name in os.listdir(tmp_path) if name.startswith("r.")} == set(names)
    for name in names:
        assert f"report: {tmp_path}/{name}\n" in done.stderr
    page = (tmp_path / "r.html").read_text()
    assert "&lt;img src=x&gt;" in page
    assert json.loads((tmp_path / "r.json").read_text())["totals"]["duplicate_files"] == 2
    assert files_below(tmp_path / "state" / "framework" / "survey")[0].endswith("catalogue.sqlite")
    # what is there stays, and is named before anything is read
    assert "'r.xlsx' exists already" in run("tree", "--report", "new.html", "--report", "r.xlsx", code=2).stderr
    assert (tmp_path / "r.html").read_text() == page
    assert not (tmp_path / "new.html").exists()
    former = os.stat(tmp_path / "r.html").st_ino
    run("tree", "--report", "r.html", "--force")
    assert os.stat(tmp_path / "r.html").st_ino != former


def test_a_foreign_catalogue_is_not_overwritten(run: Run, tree: Path) -> None:
    assert "not replaced" in run("tree", "--catalogue", tree / "other", "--force", code=2).stderr
    assert (tree / "other").read_text() == "different"


@pytest.mark.parametrize("option", ["--catalogue", "--report"])
def test_a_pipe_is_neither_waited_for_nor_replaced(run: Run, tree: Path, tmp_path: Path, option: str) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert "is not a file" in run("tree", option, "pipe.json", "--force", code=2).stderr
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe.json").st_mode)


def test_an_empty_target_is_a_usage_error(run: Run, tree: Path) -> None:
    assert "empty" in run("tree", "--catalogue", "", code=2).stderr
    assert "no ending" in run("tree", "--report", "", code=2).stderr


def test_one_file_cannot_be_both(run: Run, tree: Path) -> None:
    assert "both" in run("tree", "--catalogue", "a.json", "--report", "./a.json", code=2).stderr


def test_a_target_in_a_missing_folder_is_a_usage_error(run: Run, tree: Path) -> None:
    assert "no folder" in run("tree", "--catalogue", "nowhere/c", code=2).stderr


def test_a_target_folder_without_permission_is_refused_and_left_alone(run: Run, tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read only"
    folder.mkdir(mode=0o500)
    for option, name in (("--catalogue", "c"), ("--report", "r.html"), ("--report", "r.xlsx")):
        done = run("tree", option, folder / name, prefix=without_root_rights(), code=3)
        assert str(folder) in done.stderr
        assert files_below(folder) == []
        assert files_below(tmp_path / "state" / "framework" / "survey") == []


def test_what_cannot_be_read_is_named_and_gives_exit_code_1(run: Run, tree: Path) -> None:
    (tree / "one").chmod(0)
    done = run("tree", "-o", "json", prefix=without_root_rights(), code=1)
    report = json.loads(done.stdout)
    assert report["problems"] == {
        "denied": [{"path": str(tree / "one"), "stage": "fingerprint", "detail": "Permission denied", "folder": False}]
    }
    assert report["totals"]["files"] == 2
    assert "1 files or folders could not be read" in done.stderr


def test_progress_for_programs_has_what_could_not_be_read_even_when_the_rest_is_quiet(run: Run, tree: Path) -> None:
    (tree / "one").chmod(0)
    done = run("tree", "--quiet", "--progress", "json", prefix=without_root_rights(), code=1)
    last = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")][-1]
    assert last["last_error"] == f"{tree / 'one'}: Permission denied"


def test_names_of_reports_are_told_as_they_are_and_harmless(run: Run, tree: Path) -> None:
    done = run("tree", "--catalogue", "c\x1b[31m", "--report", "r\x1b[2J.json")
    assert "c\\x1b[31m\n" in done.stderr
    assert "r\\x1b[2J.json\n" in done.stderr


def test_a_name_in_an_error_is_harmless(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "turned \u202e").write_text("of somebody else")
    errors = run("tree", "--catalogue", "turned \u202e", code=2).stderr
    assert r"turned \u202e exists and is not a catalogue" in errors
    assert "\u202e" not in errors


def test_a_full_disk_leaves_the_former_catalogue_as_it_was(run: Run, tree: Path, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", mount], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        targets = ("--catalogue", mount / "c", "--report", mount / "r.json", "--force")
        run("tree", *targets)
        before = (mount / "c").read_bytes(), (mount / "r.json").read_bytes()
        for index in range(5000):
            (tree / f"file with a rather long name, to fill the catalogue soon {index}").touch()
        assert "full" in run("tree", *targets, code=3).stderr
        assert ((mount / "c").read_bytes(), (mount / "r.json").read_bytes()) == before
        assert files_below(mount) == ["c", "r.json"]
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize("ending", ["html", "json", "xlsx"])
def test_a_full_disk_leaves_no_part_of_a_report(run: Run, tree: Path, tmp_path: Path, ending: str) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", mount], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        for index in range(500):
            (tree / f"file with a rather long name {index}").write_text("same")
        done = run("tree", "--report", mount / f"r.{ending}", code=3)
        assert f"{mount}/r.{ending} could not be written: No space left on device" in done.stderr
        assert files_below(mount) == []
        assert files_below(tmp_path / "state" / "framework" / "survey") == []
    finally:
        subprocess.run(["umount", mount], check=True)


TWO_REPORTS = ("tree", "--catalogue", "c", "--report", "r.html", "--report", "r.json")


def put_meanwhile(tree: Path, place: Path, environment: dict[str, str], put: Callable[[Path], object]) -> str:
    """Put something where a report goes while a survey runs, and return the errors with which that ends."""
    with (tree / "huge").open("wb") as file:
        file.truncate(1 << 30)  # time enough
    command = [*COMMAND, *TWO_REPORTS]
    with subprocess.Popen(command, env=environment, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, lambda: (place / "c.part").exists())
        put(place / "r.html")
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 3
    return errors


def test_a_report_whose_place_was_taken_meanwhile_is_named_and_the_others_are_written(
    tree: Path, tmp_path: Path, environment: dict[str, str], run: Run
) -> None:
    errors = put_meanwhile(tree, tmp_path, environment, lambda report: report.mkdir())
    assert f"catalogue {tmp_path}/c is up to date, but" in errors
    assert f"{tmp_path}/r.html" in errors
    assert json.loads((tmp_path / "r.json").read_text())["totals"]["files"] == 4
    assert files_below(tmp_path) == [
        "c",
        "c.reports",
        "r.json",
        *(f"tree/{name}" for name in ("huge", "one", "other", "two")),
    ]
    (tmp_path / "r.html").rmdir()
    assert "unchanged   4 not read again" in run(*TWO_REPORTS).stdout
    assert (tmp_path / "r.html").is_file()
    assert not (tmp_path / "c.reports").exists()


def test_a_file_that_came_to_be_where_a_report_goes_is_not_replaced(
    tree: Path, tmp_path: Path, environment: dict[str, str], run: Run
) -> None:
    errors = put_meanwhile(tree, tmp_path, environment, lambda report: report.write_text("mine"))
    assert "The report 'r.html' exists already" in errors
    assert (tmp_path / "r.html").read_text() == "mine"
    assert json.loads((tmp_path / "r.json").read_text())["totals"]["files"] == 4
    assert "The report 'r.html' exists already" in run(*TWO_REPORTS, code=2).stderr
    run(*TWO_REPORTS, "--force")
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_what_has_not_changed_is_not_read_again(run: Run, tree: Path, tmp_path: Path) -> None:
    settle(tree)
    first = json.loads(run("tree", "-o", "json", "--quiet").stdout)
    (tree / "two").write_text("news")
    second = json.loads(run("tree", "-o", "json", "--quiet").stdout)
    assert (first["totals"]["recalled"], second["totals"]["recalled"]) == (0, 2)
    assert second["totals"]["duplicate_groups"] == 0
    assert "unchanged   3 not read again" in run("tree").stdout


def test_files_are_looked_into_also_without_a_pool_and_a_memory_manager(run: Run, tree: Path) -> None:
    (tree / "bad.json").write_text("[1")
    (tree / b"\xff\x1b.txt".decode(errors="surrogateescape")).write_text("words")
    os.mkfifo(tree / "pipe")
    (tree / "loop").symlink_to(tree)
    done = run("tree", "--check", "--index")
    assert "integrity   1 damaged" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "1 pipes" in done.stdout
    assert "texts       3 in the full-text index" in done.stdout


def test_a_catalogue_of_a_later_version_is_refused_and_one_of_a_former_version_kept(run: Run, tree: Path) -> None:
    run(tree, "--catalogue", tree / "c")
    for version, code, told in ((99, 2, "has version 99"), (1, 0, "kept as")):
        with closing(sqlite3.connect(tree / "c")) as database:
            database.execute(f"PRAGMA user_version={version}")
        before = (tree / "c").read_bytes()
        assert told in run(tree, "--catalogue", tree / "c", code=code).stderr
        assert (tree / ("c" if code else "c.version-1")).read_bytes() == before


def test_a_catalogue_whose_damage_shows_only_when_it_is_used_is_kept_aside_and_made_anew(run: Run, tree: Path) -> None:
    run("tree", "--index", "--catalogue", "c")
    with closing(sqlite3.connect(tree.parent / "c")) as database, database:
        database.execute("UPDATE text_index_data SET block = zeroblob(9)")  # of the index, which no quick check reads
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    before = (tree.parent / "c").read_bytes()
    (tree / "new").write_text("more words")
    done = run("tree", "--index", "--catalogue", "c")
    assert "kept as" in done.stderr
    assert (tree.parent / "c.damaged").read_bytes() == before
    assert "texts       3 in the full-text index" in done.stdout
    assert "unchanged" not in done.stdout
    assert str(tree / "new") in run("query", "more", "--catalogue", "c").stdout
    assert files_below(tree.parent)[:2] == ["c", "c.damaged"]


def test_many_files_are_read_by_processes_with_the_same_outcome(run: Run, tree: Path) -> None:
    for index in range(20):
        (tree / str(index)).mkdir()
        for number in range(1000):
            (tree / str(index) / str(number)).write_text(str(number))
    report = json.loads(run("tree", "-o", "json", "--workers", 2).stdout)
    assert report["totals"]["files"] == 20_003
    assert report["totals"]["duplicate_groups"] == 1001
    assert report["totals"]["duplicate_files"] == 19 * 1000 + 1


def settle(tree: Path) -> None:
    """Wait until the files of a tree are so old that a change would show in their times."""
    newest = max(path.stat().st_ctime_ns for path in tree.iterdir())
    assert wait_until(lambda: time.time_ns() > newest + 2 * UNSETTLED_NS)


def without_root_rights() -> tuple[str, ...]:
    """Return what to put before a command so that permissions count for it, also when root runs the tests."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("running as root, and setpriv (Debian package util-linux) is not installed")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def has_open(process: subprocess.Popen[Any], path: Path) -> bool:
    folder = f"/proc/{process.pid}/fd"
    try:
        return any(os.readlink(f"{folder}/{one}") == str(path) for one in os.listdir(folder))
    except FileNotFoundError:
        return False


def has_children(process: subprocess.Popen[Any]) -> bool:
    return any(path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/children"))


def living(group: int) -> list[int]:
    """Return the processes of a group, without those that ended and only wait for somebody to read their exit code."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not (fulfilled := condition()) and time.monotonic() < deadline:
        os.sched_yield()
    return fulfilled


def wait_for(process: subprocess.Popen[Any], condition: Callable[[], bool]) -> None:
    assert wait_until(lambda: condition() or process.poll() is not None, seconds=30)
    assert process.poll() is None, "it ended before it could be interrupted"


def kill_workers(process: subprocess.Popen[Any]) -> bool:
    """Kill every worker process of a survey; return whether there was one."""
    killed = False
    # threads and processes may end while they are looked at
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for path in list(Path(f"/proc/{process.pid}/task").glob("*/children")):
            for child in path.read_text().split():
                # not a program that the survey starts
                if b"worker import main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
                    killed = True
    return killed


def names_in(catalogue: Path) -> set[str]:
    """Return the names in a catalogue, none while there is none."""
    if not catalogue.exists():
        return set()
    with closing(sqlite3.connect(catalogue)) as database:
        return {os.path.basename(os.fsdecode(path)) for (path,) in database.execute("SELECT path FROM file")}


def settles(path: Path) -> bool:
    """Return whether a file is soon left as it is for a second, in which it would be written several times."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = path.stat()
        time.sleep(1)
        if os.path.samestat(before, path.stat()):
            return True
    return False


def test_watching_keeps_the_catalogue_current_until_it_is_interrupted(
    tree: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    target = tmp_path / "c"
    process = subprocess.Popen(
        [*COMMAND, tree, "--catalogue", target, "--watch", "0.1"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        wait_for(process, lambda: names_in(target) == {"one", "two", "other"})
        (tree / "new").touch()
        wait_for(process, lambda: names_in(target) == {"one", "two", "other", "new"})
        (tree / "one").unlink()
        wait_for(process, lambda: names_in(target) == {"two", "other", "new"})
        assert settles(target)  # nothing changes any more, so that nothing is written
        target.unlink()
        wait_for(process, lambda: names_in(target) == {"two", "other", "new"})
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "new or changed, 4 in all" in errors
    assert names_in(target) == {"two", "other", "new"}


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc to find the workers")
def test_processes_that_died_cost_no_file(tree: Path, environment: dict[str, str]) -> None:
    for number in range(3 * MANY_FILES):
        (tree / str(number)).touch()
    process = subprocess.Popen(
        [*COMMAND, tree, "-o", "json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert wait_until(lambda: kill_workers(process), seconds=30)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(output)["totals"]["files"] == 3 * MANY_FILES + 3


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc to see what is being read")
@pytest.mark.parametrize("moment", ["in a huge file", "as soon as there is a temporary file", "with worker processes"])
def test_an_interrupt_ends_it_at_once_and_leaves_only_what_the_next_run_goes_on_with(
    tree: Path, tmp_path: Path, environment: dict[str, str], moment: str
) -> None:
    huge = tree / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    for number in range(MANY_FILES if moment == "with worker processes" else 0):
        (tree / str(number)).touch()
    state = tmp_path / "state" / "framework" / "survey"  # beside it the kernel keeps what it knows of plugins
    process = subprocess.Popen(
        [*COMMAND, tree],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if moment == "in a huge file":
        wait_for(process, lambda: has_open(process, huge))
    elif moment == "with worker processes":
        wait_for(process, lambda: has_open(process, huge) and has_children(process))
    else:
        wait_for(process, lambda: state.exists() and bool(files_below(state)))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    output, errors = process.communicate(timeout=30)  # reading the huge file to its end would take a quarter of an hour
    assert process.returncode == 130, errors
    assert output == ""
    assert "Traceback" not in errors
    assert {os.path.basename(one) for one in files_below(state)} <= {
        "catalogue.sqlite.part",
        "catalogue.sqlite.part-journal",
    }
    assert wait_until(lambda: not living(process.pid)), "processes of its group are left"
