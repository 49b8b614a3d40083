"""`framework survey verify`: what altered without a trace, what is gone, and what was simply written to."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from plugin_survey.use.pace import Pace

Catalogued = Callable[[], str]
Run = Callable[..., tuple[str, str]]


def flip(path: Path, place: int) -> None:
    """Invert a bit and give the file its former times, as far as programs can."""
    former = path.stat()
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))


def verdicts(output: str) -> dict[str, str]:
    return {os.path.basename(row["path"]): row["verdict"] for row in json.loads(output)}


@pytest.fixture
def catalogue(tree: Path, catalogued: Catalogued) -> str:
    for name in ("one", "two", "three", "four"):
        (tree / name).write_text(name * 1000)
    os.link(tree / "one", tree / "one again")
    return catalogued()


def test_files_that_are_as_they_were_are_sound(run: Run, catalogue: str) -> None:
    output, errors = run("verify", "--catalogue", catalogue)
    assert output == ""
    assert "5 names verified by SHA-256 of the whole content: 5 sound" in errors
    assert run("verify", "--catalogue", catalogue, "-o", "json")[0] == "[]\n"


def test_a_bit_that_turned_is_found_under_every_name(run: Run, catalogue: str, tree: Path) -> None:
    flip(tree / "one", 2000)
    output, errors = run("verify", "--catalogue", catalogue, "-o", "json", code=1)
    assert verdicts(output) == {"one": "rotten", "one again": "rotten"}
    assert "its time of change moved" in json.loads(output)[0]["note"]
    assert "3 sound, 2 rotten" in errors


def test_without_a_trace_in_any_time_stamp_it_is_said_to_be_the_disk(run: Run, catalogue: str, tree: Path) -> None:
    flip(tree / "two", 0)
    with closing(sqlite3.connect(catalogue)) as database, database:
        values = ((tree / "two").stat().st_ctime_ns, os.fsencode(tree / "two"))
        database.execute("UPDATE file SET ctime_ns = ? WHERE path = ?", values)
    assert "no time stamp moved" in run("verify", "--catalogue", catalogue, code=1)[0]


def test_what_was_written_to_is_counted_and_no_fault(run: Run, catalogue: str, tree: Path) -> None:
    (tree / "two").write_text("something else")
    output, errors = run("verify", "--catalogue", catalogue)
    assert output == ""
    assert "4 sound, 1 changed" in errors
    assert verdicts(run("verify", "--catalogue", catalogue, "--changed", "-o", "json")[0]) == {"two": "changed"}


def test_missing_and_replaced_files_are_faults(run: Run, catalogue: str, tree: Path) -> None:
    for name in ("two", "three", "four"):
        (tree / name).unlink()
    (tree / "three").symlink_to("one")
    (tree / "four").mkdir()
    output, _ = run("verify", "--catalogue", catalogue, "-o", "json", code=1)
    assert verdicts(output) == {"two": "missing", "three": "replaced", "four": "replaced"}


def test_only_what_is_below_the_path_is_read(run: Run, catalogue: str, tree: Path) -> None:
    flip(tree / "two", 0)
    assert "1 names verified" in run("verify", tree / "three", "--catalogue", catalogue)[1]


def test_the_damaged_member_of_an_archive_is_named(run: Run, tree: Path, catalogued: Catalogued) -> None:
    with zipfile.ZipFile(tree / "archive.zip", "w") as archive:
        archive.writestr("good", "good" * 100)
        archive.writestr("bad", "bad" * 100)
    catalogue = catalogued()
    flip(tree / "archive.zip", (tree / "archive.zip").read_bytes().index(b"badbad") + 50)
    output, _ = run("verify", "--catalogue", catalogue, "-o", "json", code=1)
    assert "bad" in json.loads(output)[0]["note"].partition(";")[2]


def test_what_was_damaged_when_it_was_surveyed_is_named(run: Run, tree: Path) -> None:
    (tree / "cut.gz").write_bytes(b"\x1f\x8b\x08" + bytes(30))
    run("tree", "--check", "--quiet")
    output, _ = run("verify", "tree", "-o", "json", code=1)
    assert verdicts(output) == {"cut.gz": "damaged"}
    assert "already when it was surveyed" in json.loads(output)[0]["note"]


def test_a_path_that_was_not_surveyed_is_not_said_to_be_sound(run: Run, catalogue: str, tree: Path) -> None:
    for command in ("verify", "duplicates"):
        errors = run(command, tree / "tow", "--catalogue", catalogue, code=2)[1]
        assert f"No file at or below {tree / 'tow'} was surveyed" in errors
    assert "5 sound" in run("verify", tree.parent, "--catalogue", catalogue)[1]
    assert "is a folder" in run("verify", tree, "--catalogue", tree, code=2)[1]


def test_an_interrupt_is_followed_by_what_was_found_until_then(run: Run, catalogue: str, tree: Path) -> None:
    first, *_, last = sorted(
        tree.iterdir(), key=lambda path: (path.stat().st_ino, path)
    )  # the order in which they are read
    flip(first, 10)
    interrupt = (
        "import os, signal, sys; sys.addaudithook(lambda event, found: event == 'open'"
        f" and found[0] == {os.fsencode(last)!r} and os.kill(os.getpid(), signal.SIGINT))"
    )
    output, errors = run("verify", "--catalogue", catalogue, "-o", "json", code=130, hook=interrupt)
    assert verdicts(output)[first.name] == "rotten"
    assert "names verified" in errors


def test_a_rotten_file_that_vanishes_before_a_parser_sees_it_is_rotten(
    run: Run, tree: Path, catalogued: Catalogued
) -> None:
    (tree / "some.json").write_text("[1]")
    catalogue = catalogued()
    flip(tree / "some.json", 0)
    path = os.fsencode(tree / "some.json")
    vanish = (
        "import os, sys; times = []; sys.addaudithook(lambda event, found: event == 'open'"
        f" and found[0] == {path!r} and (times.append(1), len(times) == 2 and os.unlink({path!r})))"
    )
    output, _ = run("verify", "--catalogue", catalogue, "-o", "json", code=1, hook=vanish)
    assert verdicts(output) == {"some.json": "rotten"}
    assert not (tree / "some.json").exists()


def test_the_rate_is_kept() -> None:
    pace = Pace(1 << 20)
    started = time.monotonic()
    for _ in range(5):
        pace.read(20 << 10)
    assert time.monotonic() - started >= 100 / 1024


def test_a_rate_that_is_none_is_refused(run: Run) -> None:
    assert "is no size" in run("verify", "--rate", "fast", code=2)[1]
