"""Tables of text (CSV of RFC 4180, and its kin with tabs, semicolons or bars): quotes, columns, and bytes no text has.

Nothing tells that a table misses its last rows. What can be told is a row that stops in its middle; rows of several
lengths and odd quotes occur in good files, so they make a table unchecked rather than damaged.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

_DELIMITERS = "\t;|,"
_LONGEST_ROW = 1 << 20
"""Characters; as Python objects a row may take 50 times as much."""
_SENTINEL = "\ud800"
"""A line that is put after the last one, to see whether it becomes a row of its own or part of a quote left open.

Half a character, which no encoding that is read here can have.
"""


@dataclass
class _Row:
    """Where the reader is: characters and lines of the current row, and whether the last line had an end."""

    length: int = 0
    lines: int = 0
    number: int = 1
    ended: bool = True
    columns: set[int] = field(default_factory=set)
    last: int = 0


def check_table(source: Source, tally: Tally) -> None:
    """Check a table: no zero bytes, quotes that are closed, and a last row as long as the others."""
    row = _Row()
    lines = _lines(_characters(source), row)
    first = next(lines)
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        closed = _read(csv.reader(_chain(first, lines), delimiter=delimiter), row, tally)
    except csv.Error as error:
        raise Unchecked(f"row {row.number:,} cannot be read: {error}") from None
    _judge(row, closed=closed)


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _judge(row: _Row, *, closed: bool) -> None:
    if not closed and row.lines <= 2:
        raise Damaged(f"it is cut off: a quote is open at the end of its last row, {row.number:,}")
    if not closed:
        raise Unchecked(f"a quote is not closed in row {row.number:,}; or quotes mean something else here")
    if not row.ended and len(row.columns) == 1 and row.last < min(row.columns):
        raise Damaged(
            f"it is cut off: its last row has {row.last} columns instead of {min(row.columns)}, and no line end"
        )
    if len(lengths := row.columns | {row.last}) > 1:
        raise Unchecked(f"its rows have from {min(lengths)} to {max(lengths)} columns, so that a loss would not show")


def _read(reader: Iterator[list[str]], row: _Row, tally: Tally) -> bool:
    """Read all rows, and return whether no quote was left open at the end."""
    for fields in reader:
        if fields == [_SENTINEL]:
            return True
        if fields:
            if row.last:
                row.columns.add(row.last)
            row.last = len(fields)
            tally.members += 1
        if fields and fields[-1].endswith(_SENTINEL):
            break
        row.length = row.lines = 0
        row.number += 1
    return False


def _characters(source: Source) -> Iterator[str]:
    """Yield the text; what is not UTF-16 is taken byte by byte, because delimiters and quotes are ASCII anyway."""
    if source.read(0, 2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            yield from codecs.iterdecode(source.chunks(), "utf-16")
        except UnicodeDecodeError as error:
            raise Damaged(f"it is not valid UTF-16, or cut off: {error.reason}") from None
        return
    place = 0
    for chunk in source.chunks():
        if (at := chunk.find(b"\0")) >= 0:
            raise Damaged(f"byte {place + at:,} is zero, which no text has")
        place += len(chunk)
        yield chunk.decode("latin-1")


def _lines(chunks: Iterator[str], row: _Row) -> Iterator[str]:
    kept = ""
    for chunk in chunks:
        whole = (kept + chunk).split("\n")
        kept = whole.pop()
        if len(kept) > _LONGEST_ROW:
            raise Unchecked(f"row {row.number:,} is longer than {_LONGEST_ROW:,} characters")
        for line in whole:
            row.length += len(line)
            row.lines += 1
            if row.length > _LONGEST_ROW:
                raise Unchecked(f"row {row.number:,} is longer than {_LONGEST_ROW:,} characters")
            yield line
    if kept:
        row.ended = False
        row.lines += 1
        yield kept
    row.lines += 1
    yield _SENTINEL
