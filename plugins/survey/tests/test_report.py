from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.contents import BadContent
from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.problem import REASONS, Problem
from plugin_survey.report import (
    Durations,
    Findings,
    check_replaceable,
    group_rows,
    human,
    make_report,
    path_entry,
    shown,
    summary_rows,
    write_report,
)
from plugin_survey.walk import WalkCounts

GROUPS = (DuplicateGroup(10, b"\x01" * 32, ((b"/a", b"/linked"), (b"/b\xff",))),)


def findings(**changed: object) -> Findings:
    found = Findings([b"/"], "sha256", 1, 0.0, names=4, files=3, bytes=30, groups=GROUPS)
    found.counts = WalkCounts(files=4, folders=2, symlinks=1)
    found.durations = Durations(total=2.0)
    found.verdicts, found.texts = {"damaged": 1}, 3
    found.bad = [BadContent(b"/bad", "zip", "damaged", "it is cut off")]
    found.died, found.killed, found.peak_memory, found.budget = 2, 1, 5, 7
    for name, value in changed.items():
        setattr(found, name, value)
    return found


def test_the_shape_of_the_report_is_stable() -> None:
    assert make_report(findings(problems=[Problem(b"/p", "denied", "no", folder=True)])) == {
        "format": "framework survey",
        "version": 1,
        "started_at": "1970-01-01T00:00:00+00:00",
        "roots": [{"path": "/"}],
        "algorithm": "sha256",
        "min_size": 1,
        "totals": {
            "names": 4,
            "files": 3,
            "bytes": 30,
            "recalled": 0,
            "folders": 2,
            "duplicate_groups": 1,
            "duplicate_files": 1,
            "wasted_bytes": 10,
            "problems": 1,
        },
        "skipped": {
            "symlinks": 1,
            "sockets": 0,
            "pipes": 0,
            "devices": 0,
            "excluded": 0,
            "other_file_systems": 0,
        },
        "duplicates": [
            {
                "size": 10,
                "digest": "01" * 32,
                "wasted_bytes": 10,
                "files": [{"path": "/a", "links": [{"path": "/linked"}]}, path_entry(b"/b\xff")],
            }
        ],
        "problems": {"denied": [{"path": "/p", "detail": "no", "folder": True}]},
        "verdicts": {"damaged": 1},
        "bad": [{"path": "/bad", "kind": "zip", "verdict": "damaged", "problem": "it is cut off"}],
        "texts": 3,
        "workers": {"died": 2, "killed": 1},
        "memory": {"peak": 5, "budget": 7},
        "durations": {
            "total": 2.0,
            "walk": 0.0,
            "fingerprint": 0.0,
            "inspect": 0.0,
            "catalogue": 0.0,
            "duplicates": 0.0,
        },
        "throughput": {"files_per_s": 2.0, "bytes_per_s": 15.0},
    }


def test_only_a_path_that_is_no_text_carries_its_bytes() -> None:
    assert path_entry("/ä\n\\xff".encode()) == {"path": "/ä\n\\xff"}
    entry = path_entry(b"/\xff\\xff")
    assert entry["path"] == r"/\xff\xff"
    assert base64.b64decode(entry["path_bytes"]) == b"/\xff\\xff"


def test_a_name_cannot_command_the_terminal() -> None:
    assert shown(b"/a\x1b[31m\n\xff\x9b\xc2\x9b") == r"/a\x1b[31m\n\xff\x9b\x9b"
    assert shown("/ünï".encode()) == "/ünï"
    assert group_rows(GROUPS)[0]["example"] == "/a"


def test_a_written_report_is_the_same_mapping_and_may_be_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "report.json")
    for report in (make_report(findings()), make_report(findings(groups=()))):
        write_report(report, path)
        with open(path, encoding="ascii") as file:
            assert json.load(file) == report
        check_replaceable(path)


def test_a_file_that_is_no_report_is_not_replaced(tmp_path: Path) -> None:
    foreign = tmp_path / "data.json"
    foreign.write_text('{"my": "data"}')
    for taken in (foreign, tmp_path):
        with pytest.raises(InvalidRequestError, match="replaced"):
            check_replaceable(str(taken))
    foreign.write_text("")
    check_replaceable(str(foreign))
    check_replaceable(str(tmp_path / "missing"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device /dev/full is Linux's")
def test_a_report_that_does_not_fit_is_named_by_where_it_should_go() -> None:
    with pytest.raises(ResourceUnavailableError, match=r"final\.json could not be written: No space left on device"):
        write_report(make_report(findings()), "/dev/full", shown_as="final.json")


def test_problems_of_a_survey_are_listed_by_reason(tmp_path: Path, survey_of: Callable[..., Findings]) -> None:
    report = make_report(survey_of(tmp_path, tmp_path / "missing"))
    assert report["problems"] == {
        "vanished": [
            {"path": os.path.join(tmp_path, "missing"), "detail": "No such file or directory", "folder": False}
        ]
    }
    assert set(report["problems"]) <= set(REASONS)


def test_the_summary_names_what_was_skipped_and_what_failed() -> None:
    rows = {
        row["what"]: row["found"]
        for row in summary_rows(make_report(findings(problems=[Problem(b"/p", "denied", "")])))
    }
    assert rows["not read"] == "1 denied"
    assert rows["skipped"] == "1 symlinks"
    assert rows["files"] == "3 and 1 further names (hard links)"
    assert rows["wasted"] == "10 bytes (10 B)"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 30, "1.0 GiB"), (1 << 50, "1024.0 TiB")],
)
def test_bytes_are_shown_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert human(count) == text
