"""Output of any length: what is printed of iterators is what is printed of lists, and is never held as a whole."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from framework.cli import output, stream
from framework.cli.context import Context

TEXTS = st.text(st.characters(codec="utf-8"), max_size=100)
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS
ROWS = st.lists(st.dictionaries(TEXTS.filter(bool), SCALARS, max_size=4), max_size=4)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)
MANY = 6_000


def lazy(data: Any) -> Any:
    """Return data with iterators instead of lists."""
    if isinstance(data, list):
        return map(lazy, data)
    return {key: lazy(one) for key, one in data.items()} if isinstance(data, Mapping) else data


def text_of(data: object, style: str, columns: tuple[str, ...] = ()) -> str:
    return "".join(stream.pieces(data, style, columns))


@given(DATA)
def test_json_of_iterators_is_that_of_lists(data: Any) -> None:
    assert text_of(lazy(data), output.JSON) == output.render(data, output.JSON) + "\n"


@given(ROWS)
def test_lines_of_json_of_iterators_are_those_of_lists(rows: list[Any]) -> None:
    text = text_of(lazy(rows), output.NDJSON)
    assert [json.loads(line) for line in text.split("\n")[:-1]] == rows
    assert text.removesuffix("\n") == output.render(rows, output.NDJSON)


@given(DATA)
def test_yaml_of_iterators_reads_back_equal(data: Any) -> None:
    text = text_of(lazy(data), output.YAML)
    assert text.replace("\n", "").isprintable()
    assert yaml.safe_load(text) == data


@given(st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS, min_size=1), min_size=1, max_size=4))
def test_a_table_of_an_iterator_is_that_of_a_list(rows: list[Any]) -> None:
    columns = ("a", "b", "c")
    assert text_of(iter(rows), output.TABLE, columns) == output.render(rows, output.TABLE, columns) + "\n"


def test_a_table_grows_wider_and_never_narrower() -> None:
    rows = [{"name": name, "size": 1} for name in ("short", "much longer", "s") for _ in range(stream.ROWS)]
    lines = text_of(iter(rows), output.TABLE).splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[:2] == ["NAME   SIZE", "short  1"]
    assert lines[stream.ROWS + 1] == "much longer  1"
    assert lines[-1] == "s            1"


def test_a_table_without_rows_is_nothing() -> None:
    assert text_of(iter(()), output.TABLE, ("name",)) == ""
    assert text_of({"rows": iter([{"name": 1}])}, output.TABLE) == "rows  name=1\n"


@pytest.mark.parametrize("style", output.FORMATS)
def test_what_is_printed_is_never_held(style: str, capfd: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for number in range(MANY):
            yield {"number": number, "name": "a name as long as those of many files are" * 2}

    context = Context()
    context.format = style
    context.emit(iter([{"number": 0}]))  # imports
    tracemalloc.start()
    try:
        context.emit(rows() if style == output.TABLE else {"rows": rows()})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert capfd.readouterr().out.count("a name") == 2 * MANY
    assert peak < 1 << 20
