from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.cataloguing.catalogue import Catalogue, Outcome, Run
from plugin_survey.cataloguing.former import check_replaceable
from plugin_survey.cataloguing.schema import APPLICATION_ID, SCHEMA_VERSION
from plugin_survey.duplicates import index_groups
from plugin_survey.reading.fingerprint import Row
from plugin_survey.reporting.report import Findings

RUN = Run(1.0, [{"path": "/x"}], {"min_size": 1}, "sha256")


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "catalogue.sqlite").touch()
    return str(tmp_path / "catalogue.sqlite")


@pytest.fixture
def catalogue(path: str) -> Iterator[Catalogue]:
    with closing(Catalogue(path, RUN)) as made:
        yield made


def row(number: int, **other: int) -> Row:
    values = {"size": 5, "mtime_ns": 1, "device": 2, "inode": number} | other
    times = values["mtime_ns"], values["mtime_ns"]
    return (b"/p/%d" % number, values["size"], *times, values["device"], values["inode"], b"d" * 32, "")


def query(path: str, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(text).fetchall()


def test_a_survey_is_in_the_catalogue_byte_for_byte(tmp_path: Path, survey_of: Callable[..., Findings]) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    name = os.path.join(os.fsencode(root), b"\xff\n")
    with open(name, "wb") as file:
        file.write(b"content")
    target = str(tmp_path / "c")
    survey_of(root, catalogue=target)
    status = os.stat(name)
    assert query(target, "SELECT path, size, mtime_ns, device, inode FROM file") == [
        (name, 7, status.st_mtime_ns, status.st_dev, status.st_ino)
    ]
    assert query(target, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(target, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert query(target, "PRAGMA integrity_check") == [("ok",)]
    assert query(target, "SELECT algorithm, options ->> 'min_size' FROM run") == [("sha256", 1)]
    assert sorted(os.listdir(tmp_path)) == ["c", "tree"]


def test_numbers_beyond_the_database_are_kept_as_near_as_possible(path: str, catalogue: Catalogue) -> None:
    catalogue.add([row(1), row((1 << 64) - 1), row(3, mtime_ns=1 << 70), row(4)], [])
    catalogue.finish(Outcome())
    assert query(path, "SELECT inode, mtime_ns FROM file ORDER BY rowid") == [
        (1, 1),
        (-1, 1),
        (3, (1 << 63) - 1),
        (4, 1),
    ]


def test_totals_count_a_file_with_two_names_once(catalogue: Catalogue) -> None:
    catalogue.add([row(1, size=10), row(2, size=7), row(3, size=7, inode=2)], [])
    assert catalogue.totals() == (3, 2, 17)


def test_closing_ends_a_query_that_runs_in_another_thread(catalogue: Catalogue) -> None:
    # all of one size and digest: without an index this join is quadratic and would take minutes
    catalogue.add([row(number) for number in range(200_000)], [])

    def groups() -> None:
        with catalogue.guarded() as database:
            index_groups(database, 1)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(groups)
        while not future.running() and not future.done():
            os.sched_yield()
        catalogue.close()
        error = future.exception(timeout=30)
    assert isinstance(error, ResourceUnavailableError)


def test_a_full_disk_is_reported_and_closing_still_works(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        (mount / "c").touch()
        rows = [row(number) for number in range(50_000)]
        with (
            closing(Catalogue(str(mount / "c"), RUN, shown_as="/final/place")) as catalogue,
            pytest.raises(ResourceUnavailableError, match=r"/final/place.*full"),
        ):
            _fill(catalogue, rows)
    finally:
        subprocess.run(["umount", mount], check=True)


def _fill(catalogue: Catalogue, rows: list[Row]) -> None:
    while True:
        catalogue.add(rows, [])


def test_a_file_that_is_no_catalogue_is_not_replaced(tmp_path: Path, path: str) -> None:
    foreign = tmp_path / "photo.jpg"
    foreign.write_bytes(b"\xff\xd8 a photo")
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE t (x)")
    for taken in (foreign, other, tmp_path):
        with pytest.raises(InvalidRequestError, match="replaced"):
            check_replaceable(str(taken))
    check_replaceable(path)  # empty
    check_replaceable(str(tmp_path / "missing"))


def test_a_catalogue_may_be_replaced_even_when_damaged(path: str) -> None:
    with closing(Catalogue(path, RUN)) as catalogue:
        catalogue.add([row(number) for number in range(1000)], [])
        catalogue.finish(Outcome())
    os.truncate(path, 5000)
    check_replaceable(path)
