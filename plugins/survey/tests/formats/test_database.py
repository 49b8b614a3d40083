"""SQLite databases: what is odd about good ones, and how long the check of one may take."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from plugin_survey.formats import DAMAGED, OK, UNCHECKED, Bounds, Finding, check

from .conftest import database

Check = Callable[..., Finding]


def test_a_database_in_use_is_unchecked_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "used.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE word (word)")
    connection.commit()
    before = sorted(os.listdir(tmp_path))
    assert check(path, "sqlite").verdict == UNCHECKED
    assert sorted(os.listdir(tmp_path)) == before
    connection.close()
    assert check(path, "sqlite").verdict == OK
    assert os.listdir(tmp_path) == ["used.sqlite"]


def test_a_good_database_that_this_sqlite_cannot_check_whole_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.create_function("known_there", 1, lambda value: value, deterministic=True)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute("CREATE TABLE word (word TEXT, count INTEGER CHECK (count > 0), CHECK (known_there(word)))")
    connection.execute("CREATE INDEX known ON word (known_there(word))")
    connection.execute("INSERT INTO word VALUES ('a', 0)")
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'count INTEGER', 'count INTEGER NOT NULL')")
    connection.execute("INSERT INTO word VALUES ('b', NULL)")
    connection.commit()
    connection.close()
    assert check(path, "sqlite").verdict in (OK, UNCHECKED)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'CREATE TABLE', 'CREATE FUTURE TABLE')")
    connection.commit()
    connection.close()
    assert check(path, "sqlite").verdict == UNCHECKED
    assert check(f"/{path}", "sqlite").verdict == UNCHECKED  # a path that begins with two slashes


def test_a_database_with_a_page_overwritten_is_damaged(found_in: Check) -> None:
    content = bytearray(database())
    content[4096:8192] = b"\xa5" * 4096
    finding = found_in(bytes(content), "sqlite")
    assert (finding.verdict, finding.problem.startswith("SQLite says")) == (DAMAGED, True)


def test_a_database_that_grew_by_a_large_step_is_ok(found_in: Check) -> None:
    content = database()
    assert found_in(content + bytes(1 << 16), "sqlite")[1:4] == (OK, "", len(content) // 4096)
    assert found_in(content + b"\0", "sqlite").verdict == OK
    assert found_in(content[:-4096], "sqlite").problem.startswith("it is cut off")


def test_a_database_that_takes_too_long_is_unchecked(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE word (a TEXT)")
    connection.executemany("INSERT INTO word VALUES (?)", [("a",)] * 5000)
    slow = "CREATE TABLE word (a TEXT, b AS (hex(printf('%.10000000c', a))) NOT NULL)"  # 100 GB to be computed
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql = ?", [slow])
    connection.commit()
    connection.close()
    finding = check(path, "sqlite", bounds=Bounds(seconds=0.5))
    assert finding[1:3] == (UNCHECKED, "not checked: took longer than 0.5 s")
    assert not [one for one in threading.enumerate() if one.name.endswith("(watch)")]


def test_one_large_table_is_interrupted_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size=512")
    connection.execute("CREATE TABLE word (word TEXT)")
    connection.executemany("INSERT INTO word VALUES (?)", ((str(number),) for number in range(400_000)))
    connection.commit()
    connection.close()
    assert check(path, "sqlite", bounds=Bounds(seconds=0)).problem == "not checked: took longer than 0 s"
    assert check(path, "sqlite").verdict == OK
