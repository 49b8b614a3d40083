"""Prints data of any length in pieces: iterators in it are gone through once, and are never in memory as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from framework.cli import output

ROWS = 500
"""Rows of a table that are aligned together."""
PIECE = 1 << 16
"""Characters from which on a piece is printed."""


def pieces(data: object, style: str, columns: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield, for data that has iterators in it, what `output.render` returns for lists, with a line break at its end.

    Of a table `ROWS` rows are aligned at a time, never narrower than those before. One without rows is nothing at all.
    """
    parts: list[str] = []
    length = 0
    for text in _texts(data, style, columns):
        parts.append(text)
        length += len(text)
        if length >= PIECE:
            yield "".join(parts)
            parts, length = [], 0
    yield "".join(parts)


def _texts(data: object, style: str, columns: tuple[str, ...]) -> Iterator[str]:
    if style == output.TABLE:
        yield from _table(data, columns)
    elif style == output.YAML:
        yield from _yaml(data)
    elif style == output.JSON:
        yield from chain(_json(data, "\n"), "\n")
    else:
        for one in data if isinstance(data, Iterator) else (data,):
            yield from chain(_json(one), "\n")


def _table(data: object, columns: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(data, Iterator):
        yield output.render(data, output.TABLE, columns) + "\n"
        return
    wide: list[int] = []
    while rows := [output.plain(row) for row in islice(data, ROWS)]:
        columns = columns or tuple(rows[0])
        lines = output.cells(rows, columns)
        if not wide:
            lines.insert(0, output.heads(columns))
            wide = output.widths(lines)
        wide = list(map(max, wide, output.widths(lines)))
        yield output.aligned(lines, wide) + "\n"


def _json(data: Any, line: str = "") -> Iterator[str]:
    """Yield data as JSON; `line` is a line break and the indentation so far, or nothing where all is in one line."""
    inner = line and line + "  "
    if isinstance(data, Iterator):
        yield from _enclosed("[]", (_json(one, inner) for one in data), line)
    elif output.is_lazy(data):
        items = (chain((f"{json.dumps(str(key))}: ",), _json(one, inner)) for key, one in data.items())
        yield from _enclosed("{}", items, line)
    else:
        text = json.dumps(output.plain(data), indent=2 if line else None)
        yield text.replace("\n", line) if line else text


def _enclosed(brackets: str, items: Iterator[Iterator[str]], line: str) -> Iterator[str]:
    inner = line and line + "  "
    before = brackets[0] + inner
    for item in items:
        yield before
        yield from item
        before = "," + (inner or " ")
    yield (line if before[0] == "," else brackets[0]) + brackets[1]


def _yaml(data: Any, pad: str = "") -> Iterator[str]:
    """Yield data as YAML, in pieces of whole lines that begin with the indentation."""
    if isinstance(data, Iterator):
        yield from _yaml_list(data, pad)
    elif output.is_lazy(data):
        for key, one in data.items():
            yield from _yaml_entry(key, one, pad)
    else:
        yield _indented(data, pad)


def _yaml_list(items: Iterator[Any], pad: str) -> Iterator[str]:
    empty = True
    for one in items:
        empty = False
        if output.is_lazy(one):
            parts = _yaml(one, pad + "  ")
            yield f"{pad}- {next(parts)[len(pad) + 2 :]}"
            yield from parts
        else:
            yield _indented([one], pad)
    if empty:
        yield f"{pad}[]\n"


def _yaml_entry(key: Any, value: Any, pad: str) -> Iterator[str]:
    if not output.is_lazy(value):
        yield _indented({key: value}, pad)
        return
    head = _indented({key: []}, pad)
    parts = _yaml(value, pad if isinstance(value, Iterator) else pad + "  ")
    first = next(parts)
    yield head if first.strip() == "[]" else head.removesuffix(" []\n") + "\n" + first
    yield from parts


def _indented(data: Any, pad: str) -> str:
    return "".join(f"{pad}{line}\n" for line in output.yaml_text(output.plain(data)).split("\n"))
