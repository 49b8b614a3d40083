from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.reporting.overview import (
    Damage,
    Fault,
    FileFact,
    NearGroup,
    Overview,
    Sample,
    SizeCount,
    Stage,
    Totals,
    TypeCount,
)
from plugin_survey.reporting.report import group_rows, make_report, path_entry, summary_rows, write_report

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "survey-report.md"
GROUPS = (DuplicateGroup(10, b"\x01" * 32, ((b"/a", b"/linked"), (b"/b\xff",))),)


def overview(**changed: Any) -> Overview:
    found = Overview(
        [b"/"], 0.0, 2.0, "0.1.0", "sha256", 1, Totals(names=4, files=3, bytes=30, folders=2), duplicates=GROUPS
    )
    return replace(found, **changed)


def test_the_shape_of_the_report_is_stable() -> None:
    report = make_report(
        overview(
            settings={"exclude": ("*.tmp", "\udcff"), "workers": 2},
            stages=[Stage("walk", 0.5)],
            skipped={"symlinks": 1},
            types=[TypeCount("png", 2, 20, 1)],
            sizes=[SizeCount(1, 3, 30)],
            largest=[FileFact(b"/\xff", 20, 1.5)],
            near_duplicates=[NearGroup(0.9, (b"/a", b"/c"))],
            damaged=[Damage(b"/a", "png", "too short")],
            problems=[Fault(b"/p", "walk", "denied", "no \udcff", folder=True)],
            samples=[Sample(0.5, "walk", 1.0, 2.0, budget_bytes=7)],
            recalled=1,
            verdicts={"damaged": 1},
            texts=2,
            peak_bytes=5,
            budget_bytes=7,
            died_workers=4,
            killed_workers=3,
            wanted_kills=5,
        )
    )
    assert report == {
        "format": "framework survey",
        "version": 1,
        "framework": "0.1.0",
        "started_at": "1970-01-01T00:00:00+00:00",
        "roots": [{"path": "/"}],
        "algorithm": "sha256",
        "min_size": 1,
        "settings": {"exclude": ["*.tmp", r"\udcff"], "workers": 2},
        "totals": {
            "names": 4,
            "files": 3,
            "bytes": 30,
            "folders": 2,
            "recalled": 1,
            "duplicate_groups": 1,
            "duplicate_files": 1,
            "wasted_bytes": 10,
            "problems": 1,
            "damaged": 1,
        },
        "skipped": {"symlinks": 1},
        "types": [{"name": "png", "files": 2, "bytes": 20, "damaged": 1}],
        "sizes": [{"least": 1, "files": 3, "bytes": 30}],
        "largest": [{**path_entry(b"/\xff"), "size": 20, "modified_at": 1.5}],
        "oldest": [],
        "newest": [],
        "duplicates": [
            {
                "size": 10,
                "digest": "01" * 32,
                "wasted_bytes": 10,
                "files": [{"path": "/a", "links": [{"path": "/linked"}]}, path_entry(b"/b\xff")],
            }
        ],
        "near_duplicates": [{"similarity": 0.9, "files": [{"path": "/a"}, {"path": "/c"}]}],
        "damaged": [{"path": "/a", "type": "png", "cause": "too short"}],
        "problems": {"denied": [{"path": "/p", "stage": "walk", "detail": r"no \udcff", "folder": True}]},
        "durations": {"total": 2.0, "walk": 0.5},
        "throughput": {"files_per_s": 2.0, "bytes_per_s": 15.0},
        "verdicts": {"damaged": 1},
        "texts": 2,
        "memory": {"peak_bytes": 5, "budget_bytes": 7},
        "died_workers": 4,
        "samples": [
            {
                "seconds": 0.5,
                "stage": "walk",
                "files_per_s": 1.0,
                "bytes_per_s": 2.0,
                "resident_bytes": None,
                "budget_bytes": 7,
                "batch": None,
                "bytes_per_item": None,
            }
        ],
        "killed_workers": 3,
        "wanted_kills": 5,
    }


def test_every_key_of_the_report_is_documented(everything: Overview, nothing: Overview) -> None:
    if not REFERENCE.exists():
        pytest.skip("the documentation is not here")
    documented = set(re.findall(r"`(\w+)`", REFERENCE.read_text(encoding="utf-8")))

    def keys(value: Any) -> Iterator[str]:
        if isinstance(value, list):
            for one in value:
                yield from keys(one)
        if isinstance(value, dict):
            for key, one in value.items():
                if key != "settings":  # the user's options
                    yield key
                    yield from keys(one)

    assert set(keys(make_report(everything))) <= documented
    assert make_report(nothing).keys() == make_report(everything).keys()


def test_only_a_path_that_is_no_text_carries_its_bytes() -> None:
    assert path_entry("/ä\n\\xff".encode()) == {"path": "/ä\n\\xff"}
    entry = path_entry(b"/\xff\\xff")
    assert entry["path"] == r"/\xff\xff"
    assert base64.b64decode(entry["path_bytes"]) == b"/\xff\\xff"


def test_groups_are_shown_by_their_first_name() -> None:
    assert group_rows(GROUPS)[0]["example"] == "/a"


def test_a_written_report_is_the_same_mapping(tmp_path: Path, everything: Overview, nothing: Overview) -> None:
    path = str(tmp_path / "report.json")
    for one in (everything, nothing):
        write_report(one, path)
        with open(path, encoding="ascii") as file:
            assert json.load(file) == make_report(one)


@given(st.binary(max_size=20).map(lambda name: b"/" + name.replace(bytes(1), b"")))
def test_every_name_comes_back_from_json(name: bytes) -> None:
    entry = json.loads(json.dumps(path_entry(name)))
    assert base64.b64decode(entry["path_bytes"]) == name if "path_bytes" in entry else entry["path"].encode() == name


def test_the_summary_names_what_was_skipped_and_what_failed() -> None:
    found = overview(problems=[Fault(b"/p", "walk", "denied", "")], skipped={"symlinks": 1})
    rows = {row["what"]: row["found"] for row in summary_rows(found)}
    assert rows["not read"] == "1 denied"
    assert rows["skipped"] == "1 symlinks"
    assert rows["files"] == "3 and 1 further names (hard links)"
    assert rows["wasted"] == "10 bytes (10 B)"
