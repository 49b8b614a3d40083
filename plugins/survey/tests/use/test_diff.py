"""`framework survey diff`: what became of each file between two catalogues."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Catalogued = Callable[[], str]
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def before(tree: Path, catalogued: Catalogued, tmp_path: Path) -> str:
    for name in ("same", "gone", "changed", "moved", "twin1", "twin2", "rotten"):
        (tree / name).write_text(name.rstrip("12"))
    return str(shutil.copy(catalogued(), str(tmp_path / "before.sqlite")))


def found(output: str) -> list[tuple[str, ...]]:
    return [
        (row["what"], row["path"], *([row["target"]["path"]] if "target" in row else [])) for row in json.loads(output)
    ]


def test_every_sort_of_difference(run: Run, before: str, tree: Path, catalogued: Catalogued) -> None:
    (tree / "gone").unlink()
    (tree / "changed").write_text("otherwise")
    (tree / "sub").mkdir()
    (tree / "moved").rename(tree / "sub" / "moved")
    (tree / "twin1").rename(tree / "twin3")
    (tree / "new").write_text("new")
    former = (tree / "rotten").stat()
    (tree / "rotten").write_text("ROTTEN")
    os.utime(tree / "rotten", ns=(former.st_atime_ns, former.st_mtime_ns))
    output, errors = run("diff", before, catalogued(), "-o", "json", code=1)
    assert found(output) == [
        ("added", "new"),
        ("changed", "changed"),
        ("changed", "rotten"),
        ("moved", "moved", "sub/moved"),
        ("moved", "twin1", "twin3"),
        ("removed", "gone"),
    ]
    assert [row["note"] for row in json.loads(output) if row["note"]] == [
        "though size and time of modification are the same"
    ]
    assert "1 added, 1 removed, 2 changed, 2 moved" in errors


def test_a_folder_is_compared_with_its_copy_elsewhere(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "one").write_text("one")
    shutil.copytree(tree, tmp_path / "backup" / "tree")
    run("tree", "--quiet")
    run("backup/tree", "--quiet")
    assert "no difference" in run("diff", "tree", "backup/tree")[1]
    (tree / "two").write_text("two")
    run("tree", "--quiet")
    assert found(run("diff", "backup/tree", "tree", "-o", "json", code=1)[0]) == [("added", "two")]


def test_empty_files_have_not_moved_to_each_other(run: Run, tree: Path) -> None:
    (tree / "one").touch()
    run("tree", "--quiet", "--catalogue", "a.sqlite")
    (tree / "one").unlink()
    (tree / "two").touch()
    run("tree", "--quiet", "--catalogue", "b.sqlite")
    assert found(run("diff", "a.sqlite", "b.sqlite", "-o", "json", code=1)[0]) == [("added", "two"), ("removed", "one")]


def test_a_file_alone_is_compared_by_its_name(run: Run, tree: Path) -> None:
    for folder in ("here", "there"):
        (tree / folder).mkdir()
        (tree / folder / "one").write_text(folder)
        run(f"tree/{folder}/one", "--quiet", "--catalogue", f"{folder}.sqlite")
    assert found(run("diff", "here.sqlite", "there.sqlite", "-o", "json", code=1)[0]) == [("changed", "one")]


def test_roots_of_different_numbers_are_compared_by_whole_paths(run: Run, tree: Path) -> None:
    (tree / "one").write_text("one")
    run("tree", "--quiet", "--catalogue", "a.sqlite")
    run("tree", "framework.yaml", "--quiet", "--catalogue", "b.sqlite")
    output, _ = run("diff", "a.sqlite", "b.sqlite", "-o", "json", code=1)
    assert found(output) == [("added", str(tree.parent / "framework.yaml"))]


def test_what_is_newly_damaged_is_named(run: Run, tree: Path) -> None:
    (tree / "old.gz").write_bytes(b"\x1f\x8b\x08" + bytes(30))
    run("tree", "--check", "--quiet", "--catalogue", "a.sqlite")
    (tree / "new.gz").write_bytes(b"\x1f\x8b\x08" + bytes(31))
    run("tree", "--check", "--quiet", "--catalogue", "b.sqlite")
    output, _ = run("diff", "a.sqlite", "b.sqlite", "-o", "json", code=1)
    assert found(output) == [("added", "new.gz"), ("damaged", "new.gz")]
    assert json.loads(output)[1]["note"]


def test_what_cannot_be_compared_is_explained(run: Run, before: str, tree: Path) -> None:
    assert "neither a catalogue nor in a folder" in run("diff", before, "missing", code=2)[1]
    assert "the same catalogue" in run("diff", before, before, code=2)[1]
    assert "is not a catalogue" in run("diff", before, tree / "same", code=2)[1]
