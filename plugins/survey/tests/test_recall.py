from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from plugin_survey.cataloguing import catalogue
from plugin_survey.reporting.report import Findings

Survey = Callable[..., Findings]


@pytest.fixture
def target(tmp_path: Path) -> str:
    return str(tmp_path / "c")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # as if the files had been there for long; what is written later is as young as it is
    monkeypatch.setattr(catalogue, "UNSETTLED_NS", -3_600_000_000_000)
    root = tmp_path / "tree"
    root.mkdir()
    for name in ("one", "two", "three"):
        (root / name).write_text(name)
    return root


def files(path: str) -> dict[str, bytes]:
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT path, digest FROM file ORDER BY path").fetchall()
    assert len(dict(found)) == len(found), "a path is listed twice"
    return {os.path.basename(os.fsdecode(one)): digest for one, digest in found}


def test_only_what_changed_is_read_again(tree: Path, target: str, survey_of: Survey) -> None:
    survey_of(tree, catalogue=target)
    before = files(target)
    (tree / "two").write_text("new")
    (tree / "three").unlink()
    (tree / "four").write_text("four")
    assert survey_of(tree, catalogue=target, again=True).recalled == 1
    after = files(target)
    assert set(after) == {"one", "two", "four"}
    assert after["one"] == before["one"]
    assert after["two"] != before["two"]


def test_a_change_hidden_behind_the_former_time_and_size_is_seen(tree: Path, target: str, survey_of: Survey) -> None:
    survey_of(tree, catalogue=target)
    before, status = files(target), (tree / "one").stat()
    (tree / "one").write_text("eno")
    os.utime(tree / "one", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert survey_of(tree, catalogue=target, again=True).recalled == 2
    assert files(target)["one"] != before["one"]


def test_what_moved_with_its_folder_is_not_read_again(tree: Path, target: str, survey_of: Survey) -> None:
    (tree / "folder").mkdir()
    (tree / "folder" / "deep").write_text("deep")
    survey_of(tree, catalogue=target)
    before = files(target)
    (tree / "folder").rename(tree / "other")
    assert survey_of(tree, catalogue=target, again=True).recalled == 4
    assert files(target) == before
    with closing(sqlite3.connect(target)) as database:
        where = os.fsencode(tree / "other" / "deep")
        assert database.execute("SELECT COUNT(*) FROM file WHERE path = ?", (where,)).fetchone() == (1,)


def test_a_file_too_young_to_be_sure_of_is_read_again(
    tree: Path, target: str, survey_of: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "UNSETTLED_NS", 3_600_000_000_000)
    survey_of(tree, catalogue=target)
    assert survey_of(tree, catalogue=target, again=True).recalled == 0
    assert set(files(target)) == {"one", "two", "three"}


def test_what_became_a_link_is_no_longer_listed(tree: Path, target: str, survey_of: Survey) -> None:
    survey_of(tree, catalogue=target)
    (tree / "one").unlink()
    (tree / "one").symlink_to("two")
    assert survey_of(tree, catalogue=target, again=True).recalled == 2
    assert set(files(target)) == {"two", "three"}
