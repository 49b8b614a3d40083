from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import framework
from framework.errors import ResourceError
from plugin_survey.reporting.gathering import EXTREMES, LARGEST, gather, opened
from plugin_survey.reporting.overview import Fault, FileFact, Overview, SizeCount
from plugin_survey.reporting.report import Findings


def test_an_overview_has_what_the_survey_found(overview_of: Callable[..., Overview], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, size, modified in (("empty", 0, 3), ("small", 700, 1), ("twin", 700, 2), ("large", 20_000, 4)):
        (tree / name).write_bytes(bytes(size))
        os.utime(tree / name, (modified, modified))
    (tree / "link").hardlink_to(tree / "large")
    overview = overview_of(tree, tmp_path / "missing")

    def fact(name: str, size: int, modified: float) -> FileFact:
        return FileFact(os.fsencode(tree / name), size, modified)

    assert overview.totals.names == 5
    assert overview.totals.files == 4
    assert overview.version == framework.__version__
    assert overview.settings == {"workers": 2}
    assert overview.sizes == [
        SizeCount(0, 1, 0),
        SizeCount(1, 2, 1400),
        SizeCount(1024, 0, 0),
        SizeCount(4096, 0, 0),
        SizeCount(16384, 1, 20_000),
    ]
    assert overview.largest == [
        fact("large", 20_000, 4.0),
        fact("small", 700, 1.0),
        fact("twin", 700, 2.0),
        fact("empty", 0, 3.0),
    ]
    assert [one.modified_at for one in overview.oldest] == [1.0, 2.0, 3.0, 4.0]
    assert [one.modified_at for one in overview.newest] == [4.0, 3.0, 2.0, 1.0]
    assert overview.wasted_bytes == 700
    assert overview.duplicate_files == 1
    assert list(overview.problems) == [
        Fault(os.fsencode(tmp_path / "missing"), "fingerprint", "vanished", "No such file or directory")
    ]
    assert {stage.name for stage in overview.stages} == {
        "walk",
        "fingerprint",
        "inspect",
        "catalogue",
        "duplicates",
        "near",
    }
    assert overview.seconds > 0
    assert [(one.name, one.files, one.bytes) for one in overview.types] == [("unknown", 3, 21_400), ("empty", 1, 0)]
    assert {one.stage for one in overview.samples} <= {"fingerprint", "report"}


def test_an_empty_folder_has_no_sizes(overview_of: Callable[..., Overview], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    overview = overview_of(tmp_path / "tree")
    assert [*overview.sizes, *overview.largest, *overview.oldest, *overview.newest] == []


def test_lists_of_files_are_bounded(overview_of: Callable[..., Overview], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(LARGEST + 5):
        (tree / str(number)).write_bytes(bytes(number))
    overview = overview_of(tree)
    assert [one.size for one in overview.largest] == list(range(LARGEST + 4, 4, -1))
    assert len(overview.oldest) == len(overview.newest) == EXTREMES


def test_a_catalogue_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="nowhere"), opened(str(tmp_path / "nowhere")):
        pass


def test_a_catalogue_that_cannot_be_read_any_more_is_named(tmp_path: Path) -> None:
    (tmp_path / "no catalogue").write_bytes(b"SQLite format 3\0" + bytes(4096))
    found = Findings([b"/"], "sha256", 1, 0.0)
    with pytest.raises(ResourceError, match="no catalogue"), opened(str(tmp_path / "no catalogue")) as database:
        gather(found, database, {})


def test_problems_come_by_reason_and_path(overview_of: Callable[..., Overview], tmp_path: Path) -> None:
    (tmp_path / "b").write_text("b")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "c.json").write_text("[1")
    roots = (tmp_path / "z", tmp_path / "y", tmp_path / "b" / "below")
    found = [(one.reason, os.path.basename(one.path)) for one in overview_of(*roots).problems]
    assert found == [("vanished", b"below"), ("vanished", b"y"), ("vanished", b"z")]
