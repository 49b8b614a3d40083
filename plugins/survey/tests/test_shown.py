from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_survey.shown import dated, human, lasting, pieces, shown, visible


def test_a_name_cannot_command_the_terminal() -> None:
    assert shown(b"/a\x1b[31m\n\xff\x9b\xc2\x9b") == r"/a\x1b[31m\n\xff\x9b\x9b"
    assert shown("/ünï".encode()) == "/ünï"


def test_what_is_hidden_is_told_from_what_is_written() -> None:
    assert list(pieces("a\\n\n\u202e\udcffz")) == [("a\\n", False), (r"\n\u202e\xff", True), ("z", False)]


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_shown_is_printable_and_can_be_written_anywhere(text: str) -> None:
    result = visible(text)
    assert result.isprintable()
    assert result.encode().decode() == result
    assert visible(result) == result
    assert "".join(piece for piece, escaped in pieces(text) if not escaped) == "".join(filter(str.isprintable, text))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 30, "1.0 GiB"), (1 << 50, "1024.0 TiB")],
)
def test_bytes_are_shown_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert human(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (9.994, "9.99 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_a_duration_is_shown_in_two_units(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1970-01-01 00:00"), (1e15, "1000000000000000 s"), (-1e9, "1938-04-24 22:13")]
)
def test_any_time_of_a_file_is_shown(seconds: float, text: str) -> None:
    assert dated(seconds) == text
