"""Texts that are nearly equal: the sketches, and what the command shows of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_survey.use.near import ALL_PAIRS
from plugin_survey.use.sketch import BINS, CONFIDENCE, bands, likeness, rows_for, shingles, sketch

Run = Callable[..., tuple[str, str]]
Drawn = random.Random(7)


def words(count: int) -> list[str]:
    return [f"word{Drawn.randrange(10**6)}" for _ in range(count)]


def test_shingles_ignore_case_and_what_is_between_words() -> None:
    assert shingles("One, two\nthree - FOUR five") == shingles("one two three four five")
    assert len(shingles("one two three four five")) == 2
    assert len(shingles("one two")) == 1
    assert shingles(" \n ,. ") == set()


def test_shingles_are_the_same_in_every_process() -> None:
    code = "from plugin_survey.use.sketch import shingles; print(sorted(shingles('one two three four five six')))"
    seeds = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    one, other = (subprocess.run([sys.executable, "-c", code], env=env, capture_output=True).stdout for env in seeds)
    assert one == other
    assert one.decode().strip() == str(sorted(shingles("one two three four five six")))


def test_words_that_are_forgotten_get_the_same_number_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(words(100))
    known = shingles(text)
    monkeypatch.setattr("plugin_survey.use.sketch.MOST_WORDS", 5)
    assert shingles(text + " end") > known


@given(st.sets(st.integers(0, 99)), st.sets(st.integers(0, 99)))
def test_likeness_is_the_share_of_what_both_have(one: set[int], other: set[int]) -> None:
    assert likeness(one, other) == likeness(other, one) == (len(one & other) / len(one | other) if one & other else 0)


@pytest.mark.parametrize("shared", [0, 300, 500, 700, 900, 1000])
def test_sketches_agree_about_as_often_as_texts_are_alike(shared: int) -> None:
    common = {Drawn.getrandbits(64) for _ in range(shared)}
    one, other = ({*common, *(Drawn.getrandbits(64) for _ in range(1000 - shared))} for _ in range(2))
    agreeing = sum(a == b for a, b in zip(sketch(one), sketch(other), strict=True)) / BINS
    assert abs(agreeing - likeness(one, other)) < 0.2  # more than four standard deviations


def test_a_short_text_has_a_full_sketch_and_another_one_than_others() -> None:
    assert len(sketch({1})) == BINS
    assert not set(bands(sketch(shingles("one two")), 4)) & set(bands(sketch(shingles("three four")), 4))


@pytest.mark.parametrize("least", [0.3, 0.5, 0.8, 0.9, 1.0])
def test_bands_are_as_large_as_they_may_be(least: float) -> None:
    rows = rows_for(least)
    assert rows == 1 or 1 - (1 - least**rows) ** (BINS // rows) >= CONFIDENCE
    assert len(bands(list(range(BINS)), rows)) == BINS // rows


def found(output: str) -> list[list[str]]:
    return [[os.path.basename(one["path"]) for one in group["files"]] for group in json.loads(output)]


def test_texts_that_are_alike_enough_make_a_group(run: Run, tree: Path) -> None:
    base = words(400)
    (tree / "a.txt").write_text(" ".join(base))
    (tree / "b.md").write_text("# " + "\n".join(base) + " and an end")
    (tree / "c.txt").write_text(" ".join(base[:300] + words(100)))  # about 60 % alike
    (tree / "copy of a.txt").write_text(" ".join(base))
    for number in range(20):
        (tree / f"other {number}.txt").write_text(" ".join(words(400)))
    assert "Survey again with --index" in (run("tree", "--quiet"), run("duplicates", "tree", "--near", code=2))[1][1]
    run("tree", "--index", "--quiet")
    output, _ = run("duplicates", "tree", "--near", "-o", "json")
    assert found(output) == [["a.txt", "b.md"]]
    first, second = json.loads(output)[0]["files"]
    assert (first["likeness"], first["names"]) == (1.0, 2)
    assert 0.95 < second["likeness"] < 1
    assert found(run("duplicates", "tree", "--near", "--likeness", "40", "-o", "json")[0]) == [
        ["a.txt", "b.md", "c.txt"]
    ]
    output, errors = run("duplicates", "tree", "--near")
    assert "(and 1 equal)" in output
    assert "1 groups of texts that are nearly equal" in errors


def test_a_large_group_is_found_whole(run: Run, tree: Path) -> None:
    base = " ".join(words(300))
    count = 5 * ALL_PAIRS
    for number in range(count):
        (tree / f"{number}.txt").write_text(f"{base} {number}")
    run("tree", "--index", "--quiet")
    groups = found(run("duplicates", "tree", "--near", "-o", "json")[0])
    assert [len(group) for group in groups] == [count]


@pytest.mark.parametrize("options", [("--near", "--delete", "--keep", "first"), ("--likeness", "90")], ids=" ".join)
def test_near_only_shows(run: Run, options: tuple[str, ...]) -> None:
    assert "near" in run("duplicates", *options, code=2)[1]


def test_a_survey_looks_for_them_on_request_and_reports_them(run: Run, tree: Path, tmp_path: Path) -> None:
    assert "--index" in run("tree", "--near", code=2)[1]
    base = words(400)
    (tree / "a.txt").write_text(" ".join(base))
    (tree / "b.md").write_text("# " + "\n".join(base) + " and an end")
    (tree / "other.txt").write_text(" ".join(words(400)))
    options = ("--index", "--near", "--report", "r.html", "--report", "r.json", "--report", "r.xlsx", "--force")
    for _ in range(2):  # what was read by an earlier survey is compared too
        output, errors = run("tree", *options, "--progress", "json")
        assert "similar     2 texts in 1 groups" in output
        report = json.loads((tmp_path / "r.json").read_text())
        (group,) = report["near_duplicates"]
        assert [os.path.basename(one["path"]) for one in group["files"]] == ["a.txt", "b.md"]
        assert 0.95 < group["similarity"] < 1
        assert report["durations"]["near"] > 0
        assert 'id="near-groups"' in (tmp_path / "r.html").read_text()
        lines = [line for line in errors.splitlines() if line.startswith("{")]
        (stage,) = [one for one in json.loads(lines[-1])["stages"] if one["stage"] == "near"]
        assert (stage["done"], stage["total"], stage["ended"]) == (3, 3, True)
    # nobody looked: neither none nor the former ones
    output, _ = run("tree", "--index", "--report", "r.json", "--force")
    assert "similar" not in output
    assert json.loads((tmp_path / "r.json").read_text())["near_duplicates"] == []


def test_no_room_for_temporary_files_is_not_called_damage(
    run: Run, tree: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for number in range(1200):
        (tree / f"{number}.txt").write_text(" ".join(words(100)))
    run("tree", "--index", "--quiet", "--catalogue", "c")
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        environment["SQLITE_TMPDIR"] = str(small)
        _, errors = run("duplicates", "--near", "--catalogue", "c", "--likeness", "30", code=3)
        assert "no room for the temporary files" in errors
        assert "damaged" not in errors
    finally:
        subprocess.run(["umount", small], check=True)
