"""`write_workbook`: the report as an XLSX file, row by row, so that its size does not matter to memory.

Only this module knows XlsxWriter, and it is imported only when such a report is written. Every text is written as text:
a name that begins with `=`, `+`, `-` or `@` is no formula, one that looks like an address is no link. A path is written
as it is shown elsewhere; where it is not UTF-8, the JSON report has its exact bytes.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError, FileSizeError

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.reporting.overview import FileFact, NearGroup, Overview
from plugin_survey.reporting.sink import Sink
from plugin_survey.shown import dated, shown, visible

SHEET_ROWS = 1_048_576
"""Rows of a sheet, its header included: the limit of the format."""
CELL = 32_767
"""Characters of a cell: the limit of the format."""

Value = str | int | float | None
Row = Sequence[Value]


class Formats(NamedTuple):
    """Formats of a workbook: of headings, and of whole numbers."""

    heading: Any
    number: Any


def write_workbook(
    overview: Overview,
    path: str,
    scratch: str,
    *,
    stopped: Callable[[], bool] = lambda: False,
    sheet_rows: int = SHEET_ROWS,
) -> None:
    """Write the report as an XLSX file: a sheet for each list that is not empty.

    Args:
        overview: The survey.
        path: The file, which is replaced.
        scratch: A folder for temporary files, as large as the sheets.
        stopped: Asked before each row; once it says so, writing ends.
        sheet_rows: Most rows of a sheet; what is more goes on in a further sheet.

    Raises:
        InterruptedError: It was stopped.
        OSError: There is no space, or it cannot be written.
    """
    options = {
        "constant_memory": True,
        "tmpdir": scratch,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
    }
    with Sink(path) as sink:
        book = xlsxwriter.Workbook(sink, options)
        book.set_properties({"title": "Survey", "comments": f"Made by framework {overview.version}"})
        formats = Formats(book.add_format({"bold": True, "bottom": 1}), book.add_format({"num_format": "#,##0"}))
        for name, columns, rows in _sheets(overview):
            rows = itertools.takewhile(lambda _: not stopped(), rows)
            _write(book, name, columns, rows, sheet_rows, formats)
        try:
            book.close()
        except (FileCreateError, FileSizeError) as error:
            cause = error.args[0] if error.args else error
            raise cause if isinstance(cause, OSError) else OSError(str(error)) from error
    if stopped():  # only now: the library leaves its temporary files open unless it is closed
        raise InterruptedError(errno.EINTR, "writing was stopped")


def _sheets(overview: Overview) -> Iterator[tuple[str, tuple[str, ...], Iterable[Row]]]:
    """Yield name, columns and rows of each sheet."""
    yield "summary", ("what", "value"), _summary(overview)
    lists: list[tuple[str, tuple[str, ...], Collection[Any], Any]] = [
        ("types", ("type", "files", "bytes", "damaged"), overview.types, astuple),
        ("sizes", ("from bytes", "files", "bytes"), overview.sizes, astuple),
        ("largest", ("bytes", "modified (UTC)", "path"), overview.largest, _file),
        ("oldest", ("bytes", "modified (UTC)", "path"), overview.oldest, _file),
        ("newest", ("bytes", "modified (UTC)", "path"), overview.newest, _file),
        ("damaged", ("path", "type", "cause"), overview.damaged, lambda one: (shown(one.path), one.type, one.cause)),
        (
            "problems",
            ("path", "stage", "reason", "cause", "folder"),
            overview.problems,
            lambda one: (shown(one.path), one.stage, one.reason, one.detail, "yes" if one.folder else None),
        ),
        (
            "samples",
            ("seconds", "stage", "files/s", "bytes/s", "resident bytes", "budget bytes", "batch", "bytes per item"),
            overview.samples,
            astuple,
        ),
    ]
    for name, columns, items, row in lists:
        if items:
            yield name, columns, map(row, items)
    if overview.duplicates:
        columns = ("group", "bytes", "wasted bytes", "copies", "file", "path", "digest")
        yield "duplicates", columns, _duplicates(overview.duplicates)
    if overview.near_duplicates:
        yield "near duplicates", ("group", "similarity", "path"), _near(overview.near_duplicates)


def _write(book: Any, name: str, columns: Sequence[str], rows: Iterable[Row], most: int, formats: Formats) -> None:
    """Write a list into a sheet, and into as many further ones as it takes."""
    remaining = iter(rows)
    for number in itertools.count(1):
        first = next(remaining, None)
        if first is None:
            return
        sheet = _begin(book, name if number == 1 else f"{name} {number}", columns, formats.heading)
        at = 0
        for at, row in enumerate(itertools.chain([first], itertools.islice(remaining, most - 2)), 1):
            for column, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(at, column, visible(value)[:CELL])
                elif value is not None:
                    sheet.write_number(at, column, value, formats.number if isinstance(value, int) else None)
        sheet.autofilter(0, 0, at, len(columns) - 1)


def _begin(book: Any, name: str, columns: Sequence[str], heading: Any) -> Any:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for column, title in enumerate(columns):
        wide = title in {"path", "value", "cause"}
        sheet.set_column(column, column, 60 if wide else max(12, len(title) + 2))
        sheet.write_string(0, column, title, heading)
    return sheet


def _summary(overview: Overview) -> Iterator[Row]:
    yield from (("root", shown(root)) for root in overview.roots)
    yield "started (UTC)", dated(overview.started_at)
    yield "seconds", overview.seconds
    yield "framework", overview.version
    yield from (
        (name, value)
        for name, value in zip(("names", "files", "bytes", "folders"), astuple(overview.totals), strict=True)
    )
    yield "duplicate groups", len(overview.duplicates)
    yield "duplicate files", overview.duplicate_files
    yield "wasted bytes", overview.wasted_bytes
    yield "damaged", len(overview.damaged)
    yield "not read", len(overview.problems)
    yield "not read again", overview.recalled
    yield from ((f"contents {verdict}", count) for verdict, count in overview.verdicts.items())
    yield "texts", overview.texts
    yield "peak memory bytes", overview.peak_bytes
    yield "memory budget bytes", overview.budget_bytes
    yield "workers that died", overview.died_workers
    if overview.killed_workers is not None:
        yield "workers killed on request", overview.killed_workers
        yield "workers to be killed", overview.wanted_kills
    yield "algorithm", overview.algorithm
    yield "min size", overview.min_size
    yield from ((f"skipped {what.replace('_', ' ')}", count) for what, count in overview.skipped.items())
    yield from ((f"seconds in {stage.name}", stage.seconds) for stage in overview.stages)
    for name, value in overview.settings.items():
        yield f"setting {name}", value if isinstance(value, int | float | None) else _joined(value)


def _joined(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _file(fact: FileFact) -> Row:
    return fact.size, dated(fact.modified_at), shown(fact.path)


def _duplicates(groups: Iterable[DuplicateGroup]) -> Iterator[Row]:
    """Yield a row for each name; names of the same file, hard links, have the same number in `file`."""
    for number, group in enumerate(groups, 1):
        for file, names in enumerate(group.files, 1):
            for path in names:
                yield number, group.size, group.wasted, len(group.files), file, shown(path), group.digest.hex()


def _near(groups: Iterable[NearGroup]) -> Iterator[Row]:
    for number, group in enumerate(groups, 1):
        for path in group.paths:
            yield number, group.similarity, shown(path)
