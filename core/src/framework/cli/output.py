"""Prints rows and records as a table, JSON, newline-delimited JSON or YAML."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.frozen import Frozen, as_dict

TABLE, JSON, NDJSON, YAML = "table", "json", "ndjson", "yaml"
FORMATS = (TABLE, JSON, NDJSON, YAML)
LINE_BREAK = "\n\t"
"""What messages of several lines are made of."""
_PLAIN = {str, int, float, bool}


def plain(data: Any) -> Any:
    """Return data made of mappings, lists, texts, numbers, booleans and None only."""
    if data is None or type(data) in _PLAIN:  # most of all data; the questions below cost more
        return data
    if isinstance(data, enum.Enum):
        return data.value
    if isinstance(data, Frozen):
        return plain(as_dict(data))
    if hasattr(data, "__dataclass_fields__") and not isinstance(data, type):
        import dataclasses  # which only the records of plugins need

        return {field.name: plain(getattr(data, field.name)) for field in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, Sequence | set | frozenset | Iterator) and not isinstance(data, str | bytes):
        return [plain(one) for one in data]
    return data if isinstance(data, str | int | float) else str(data)


def is_lazy(data: object) -> bool:
    """Return whether data is an iterator, or a mapping that has one in it, directly or in further mappings."""
    return isinstance(data, Iterator) or (isinstance(data, Mapping) and any(map(is_lazy, data.values())))


def render(data: object, style: str, columns: tuple[str, ...] = ()) -> str:
    """Return the text for a mapping or a list of mappings; `columns` chooses and orders those of a table."""
    content = plain(data)
    if style == TABLE:
        return _table(content, columns)
    if style == YAML:
        return yaml_text(content)
    import json

    if style == JSON:
        return json.dumps(content, indent=2)
    return "\n".join(json.dumps(row) for row in (content if isinstance(content, list) else [content]))


def yaml_text(content: Any) -> str:
    """Return plain data as YAML."""
    import yaml

    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if not text.replace("\n", "").isprintable():  # what turns the direction of writing, which YAML lets pass
        text = yaml.safe_dump(content, sort_keys=False)
    return text.rstrip("\n")


def _table(content: Any, columns: tuple[str, ...]) -> str:
    if isinstance(content, Mapping):
        return aligned([[key, _cell(value)] for key, value in content.items()])
    if not isinstance(content, list) or not all(isinstance(row, Mapping) for row in content):
        return _cell(content)
    columns = columns or tuple(dict.fromkeys(key for row in content for key in row))
    return aligned([heads(columns), *cells(content, columns)])


def heads(columns: Sequence[str]) -> list[str]:
    """Return the first line of a table."""
    return [column.upper() for column in columns]


def cells(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """Return the further lines of a table."""
    return [[_cell(row.get(column)) for column in columns] for row in rows]


def widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return how wide the columns of a table are."""
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def aligned(lines: Sequence[Sequence[str]], wide: Sequence[int] = ()) -> str:
    """Return the text of a table, whose columns are so wide; as wide as they must be where nothing is said."""
    wide = wide or widths(lines)
    texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)) for line in lines)
    return "\n".join(text.rstrip() for text in texts)


def _cell(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    if type(value) is str and value.isprintable():
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_cell(one)}" for key, one in value.items()) or "-"
    # a name from a file system may hold anything; a line break or an escape sequence must not reach the terminal
    return visible(str(value))


def visible(text: str, keep: str = "") -> str:
    """Return a text in which whatever cannot be seen, or a terminal would obey, is written as an escape.

    Args:
        text: The text.
        keep: Characters that stay as they are nevertheless.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
