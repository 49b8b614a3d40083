"""Workbooks, read back by another library than the one that wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.utils.escape import unescape

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.reporting.overview import Damage, Overview
from plugin_survey.reporting.workbook import write_workbook
from plugin_survey.shown import shown

Write = Callable[..., Workbook]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(overview: Overview, **options: Any) -> Workbook:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        path = str(tmp_path / "report.xlsx")
        write_workbook(overview, path, str(scratch), **options)
        assert os.listdir(scratch) == []
        return load_workbook(path, read_only=False)

    return write


def rows(book: Workbook, sheet: str) -> list[tuple[Any, ...]]:
    """Return what a workbook program shows: openpyxl leaves escapes (`_x005F_`, ECMA-376, ST_Xstring) as they are."""
    return [
        tuple(unescape(value) if isinstance(value, str) else value for value in row)
        for row in book[sheet].iter_rows(values_only=True)
    ]


def test_a_sheet_for_each_list(write: Write, everything: Overview) -> None:
    book = write(everything)
    assert book.sheetnames == [
        *("summary", "types", "sizes", "largest", "oldest", "newest", "damaged", "problems", "samples", "duplicates"),
        "near duplicates",
    ]
    summary = dict(rows(book, "summary")[1:])
    assert summary["files"] == 100
    assert summary["wasted bytes"] == everything.wasted_bytes
    assert summary["workers killed on request"] == 3
    assert summary["peak memory bytes"] == 100 << 20
    assert summary["setting exclude"] == r"*.tmp, \xff"
    assert rows(book, "types") == [
        ("type", "files", "bytes", "damaged"),
        ("PNG image", 60, 1 << 29, 2),
        (r"</title>\x1b", 40, 1 << 28, 0),
    ]
    assert len(rows(book, "samples")) == 1 + len(everything.samples)
    assert rows(book, "near duplicates")[1][:2] == (1, 0.75)
    assert book["duplicates"].freeze_panes == "A2"
    assert book["duplicates"].auto_filter.ref == f"A1:G{1 + 3 * len(everything.duplicates)}"


def test_each_name_of_a_duplicate_is_a_row_and_hard_links_are_one_file(write: Write, everything: Overview) -> None:
    group = DuplicateGroup(7, b"\xab" * 32, ((b"/a", b"/linked"), (b"/b",)))
    assert rows(write(replace(everything, duplicates=[group])), "duplicates") == [
        ("group", "bytes", "wasted bytes", "copies", "file", "path", "digest"),
        (1, 7, 7, 2, 1, "/a", "ab" * 32),
        (1, 7, 7, 2, 1, "/linked", "ab" * 32),
        (1, 7, 7, 2, 2, "/b", "ab" * 32),
    ]


def test_lists_without_data_have_no_sheet(write: Write, nothing: Overview) -> None:
    assert write(nothing).sheetnames == ["summary"]


def test_a_name_is_neither_a_formula_nor_a_link(write: Write, everything: Overview) -> None:
    names = (
        b"=1+1",
        b"+1",
        b"-1",
        b"@SUM(1)",
        b"{=1}",
        b"http://example.invalid",
        b"12",
        b"1e5",
        b"=cmd|' /C calc'!A1",
    )
    book = write(replace(everything, damaged=[Damage(name, "=2", "+3") for name in names]))
    for row, name in zip(book["damaged"].iter_rows(min_row=2), names, strict=True):
        assert [cell.value for cell in row] == [name.decode(), "=2", "+3"]
        assert {cell.data_type for cell in row} == {"s"}
        assert not any(cell.hyperlink for cell in row)


def test_hostile_names_come_back_as_they_are_shown(
    write: Write, everything: Overview, hostile: tuple[bytes, ...], tmp_path: Path
) -> None:
    book = write(everything)
    assert [row[0] for row in rows(book, "problems")[1:]] == [shown(name) for name in hostile]
    with ZipFile(tmp_path / "report.xlsx") as archive:
        assert archive.testzip() is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(names=st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5))
def test_any_name_comes_back_as_it_is_shown(write: Write, nothing: Overview, names: list[bytes]) -> None:
    book = write(replace(nothing, damaged=[Damage(name, "type", "cause") for name in names]))
    assert [row[0] for row in rows(book, "damaged")[1:]] == [shown(name) for name in names]


def test_more_rows_than_a_sheet_takes_go_on_in_further_sheets(write: Write, nothing: Overview) -> None:
    damaged = [Damage(b"/%d" % at, "type", "cause") for at in range(10)]
    book = write(replace(nothing, damaged=damaged), sheet_rows=5)
    assert [name for name in book.sheetnames if "damaged" in name] == ["damaged", "damaged 2", "damaged 3"]
    found = [row[0] for name in ("damaged", "damaged 2", "damaged 3") for row in rows(book, name)[1:]]
    assert found == [f"/{at}" for at in range(10)]
    assert len(rows(book, "damaged")) == 5
    assert rows(book, "damaged 3")[0] == ("path", "type", "cause")


def test_a_full_sheet_is_exactly_what_the_format_takes(write: Write, nothing: Overview) -> None:
    book = write(replace(nothing, damaged=[Damage(b"/", "type", "cause")] * 4), sheet_rows=5)
    assert [name for name in book.sheetnames if "damaged" in name] == ["damaged"]


def test_it_ends_in_the_middle_of_a_list_when_it_is_stopped(everything: Overview, tmp_path: Path) -> None:
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 50

    path = str(tmp_path / "report.xlsx")
    with pytest.raises(InterruptedError):
        write_workbook(everything, path, str(tmp_path), stopped=stopped)
    assert 51 < asked < 70  # and at the beginning of each list that would have followed


@pytest.mark.parametrize("place", ["/dev/full", "/nowhere/report.xlsx"])
def test_a_workbook_that_cannot_be_written_is_an_error_of_the_system(
    place: str, everything: Overview, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match=r"No space left|No such file"):
        write_workbook(everything, place, str(tmp_path))
    assert os.listdir(tmp_path) == []
