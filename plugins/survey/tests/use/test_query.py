"""`framework survey query`: what is found, in which order, and that no word is a mistake."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import InvalidRequestError
from plugin_survey.use.words import LONGEST, MOST, match_for

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def indexed(run: Run, tree: Path, tmp_path: Path) -> str:
    (tree / "notes").mkdir()
    (tree / "notes" / "garden.md").write_text("# Garden\nThe hedgehog sleeps under the leaves of the garden.\n")
    (tree / "notes" / "copy.md").write_text("# Garden\nThe hedgehog sleeps under the leaves of the garden.\n")
    (tree / "letter.txt").write_text("Dear hedgehog,\n\x1b[31mplease leave the garden\x07 in spring.\n" + "more " * 99)
    (tree / "other.txt").write_text("nothing of interest, not even a hedge\n")
    run("tree", "--index", "--quiet", "--catalogue", "c.sqlite")
    return str(tmp_path / "c.sqlite")


def names(output: str) -> list[str]:
    return [os.path.basename(row["path"]) for row in json.loads(output)]


def test_all_words_must_be_there_and_the_best_comes_first(run: Run, indexed: str) -> None:
    output, _ = run("query", "HEDGEHOG", "garden", "--catalogue", indexed, "-o", "json")
    assert names(output) == ["copy.md", "letter.txt"]  # of equal files the first by path, and a title counts more
    first = json.loads(output)[0]
    assert (first["names"], first["title"], first["kind"]) == (2, "Garden", "markdown")
    assert "[hedgehog]" in first["snippet"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sleeps under"], ["copy.md"]),
        (["under sleeps"], []),
        (["hedge*", "--not", "garden"], ["other.txt"]),
        (["interest", "spring", "--any"], ["other.txt", "letter.txt"]),
        (["hedgehog", "--type", "text"], ["letter.txt"]),
        (["hedgehog", "--max-size", "100"], ["copy.md"]),
        (["hedgehog", "--min-size", "100"], ["letter.txt"]),
        (["hedgehog", "--below", "tree/notes"], ["copy.md"]),
        (["hedgehog", "--limit", "1"], ["copy.md"]),
    ],
    ids=" ".join,
)
def test_phrases_beginnings_and_filters(run: Run, indexed: str, words: list[str], found: list[str]) -> None:
    assert sorted(names(run("query", *words, "--catalogue", indexed, "-o", "json")[0])) == sorted(found)


def test_nothing_in_a_text_reaches_the_terminal_raw(run: Run, indexed: str) -> None:
    output, _ = run("query", "spring", "--catalogue", indexed)
    assert "[spring]" in output
    assert "\x1b" not in output
    assert "\x07" not in output
    assert len(output.splitlines()) == 2


def test_no_hit_and_no_text_are_told(run: Run, indexed: str, tree: Path) -> None:
    output, errors = run("query", "unheard-of", "--catalogue", indexed)
    assert (output, errors.splitlines()[-1]) == ("", "none of 3 texts has that")
    assert "There are: markdown, text." in run("query", "x", "--type", "pdf", "--catalogue", indexed, code=2)[1]
    run("tree", "--quiet")
    assert "Survey again with --index" in run("query", "hedgehog", code=2)[1]


@pytest.mark.parametrize(
    "words", [["!?"], ['"'], ["*"], [""], ["x"] * (MOST + 1), ["x" * (LONGEST + 1)]], ids=lambda words: str(words)[:9]
)
def test_what_cannot_be_looked_for_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match=r"letter|allowed"):
        match_for(words)


@given(
    st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30), min_size=1, max_size=MOST // 2),
    st.lists(st.sampled_from(["NOT", "NEAR(a, 2)", "a^", "title:", '"', "-x", "(", "a* b*", "\udcff1"]), max_size=5),
    st.booleans(),
)
def test_whatever_the_words_are_the_query_is_valid(words: list[str], without: list[str], either: bool) -> None:
    try:
        match = match_for(words, without, either=either)
    except InvalidRequestError:
        return
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE VIRTUAL TABLE t USING fts5 (title, body)")
        database.execute("INSERT INTO t VALUES ('a', 'b c')")
        database.execute("SELECT * FROM t WHERE t MATCH ?", (match,)).fetchall()
