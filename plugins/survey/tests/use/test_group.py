"""Commands below a command: the first word decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[str, str]]


def test_a_folder_with_the_name_of_a_command_is_surveyed_by_its_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "query").mkdir()
    (tmp_path / "query" / "one").write_text("one")
    assert "Missing argument 'WORDS...'" in run("query", code=2)[1]
    assert json.loads(run("./query", "-o", "json")[0])["totals"]["files"] == 1
    # only the first word is looked at
    assert json.loads(run("-o", "json", "query", "--quiet")[0])["totals"]["files"] == 1


def test_the_help_names_options_and_commands(run: Run) -> None:
    output, _ = run("--help")
    for word in ("PATH... | COMMAND", "--exclude", "--output", "duplicates", "./NAME"):
        assert word in output
    output, _ = run("duplicates", "--help")
    assert "--hardlink" in output
    assert output.startswith("Usage: framework survey duplicates [OPTIONS]")


def test_the_catalogue_of_a_path_is_found_by_any_path_in_it(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "deep").mkdir()
    for name in ("one", "two", "deep/one", "deep/two"):
        (tree / name).write_text(name[-3:])
    assert "no catalogue of a survey" in run("duplicates", tree, code=2)[1]
    run("tree", "framework.yaml", "--quiet")
    assert len(json.loads(run("duplicates", "tree/deep/../deep", "-o", "json")[0])) == 0
    assert len(json.loads(run("duplicates", "tree", "-o", "json")[0])) == 2
    run("tree/deep", "--quiet")
    output, errors = run("duplicates", "-o", "json")
    assert json.loads(output) == []
    assert f"of {tree / 'deep'}, surveyed" in errors  # the latest
    assert len(json.loads(run("duplicates", "tree", "-o", "json")[0])) == 2
    assert "no catalogue of a survey" in run("duplicates", tmp_path / "elsewhere", code=2)[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no catalogue"),
        (b"", "There is no catalogue"),
        (b"hello" * 100, "is not a catalogue of a survey"),
        (b"SQLite format 3\0" + bytes(100), "is not a catalogue of a survey"),
    ],
)
@pytest.mark.parametrize("command", [("duplicates",), ("verify",), ("query", "word")])
def test_what_is_no_catalogue_is_refused(
    run: Run, tmp_path: Path, content: bytes | None, message: str, command: tuple[str, ...]
) -> None:
    path = tmp_path / "c"
    if content is not None:
        path.write_bytes(content)
    assert message in run(*command, "--catalogue", path, code=2)[1]


def test_another_version_and_damage_are_told_apart(run: Run, tree: Path, catalogued: Callable[[], str]) -> None:
    (tree / "one").write_text("one")
    path = Path(catalogued())
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + (9).to_bytes(4, "big") + whole[64:])
    assert "has version 9" in run("verify", "--catalogue", path, code=2)[1]
    path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    errors = run("verify", "--catalogue", path, code=3)[1]
    assert "cannot be read" in errors
    assert "Traceback" not in errors
