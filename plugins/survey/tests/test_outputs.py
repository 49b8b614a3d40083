from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import load_workbook

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.reporting.outputs import FORMATS, Output, check_free, outputs
from plugin_survey.reporting.overview import Overview
from plugin_survey.reporting.report import make_report


def test_the_ending_says_the_format(tmp_path: Path, everything: Overview) -> None:
    paths = [str(tmp_path / f"report{ending}") for ending in (".HTML", ".json", ".xlsx")]
    for output in outputs(paths):
        output.write(everything, output.path, str(tmp_path))
    assert Path(paths[0]).read_text().startswith("<!DOCTYPE html>")
    assert json.loads(Path(paths[1]).read_text()) == make_report(everything)
    assert load_workbook(paths[2])["summary"]["A1"].value == "what"


@pytest.mark.parametrize("name", ["report", "report.txt", "report.", ".html", ""])
def test_another_ending_is_refused_and_those_there_are_named(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"\.html, \.json, \.xlsx"):
        outputs([name])


def test_what_is_there_stays_unless_the_user_insists(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(InvalidRequestError, match=r"exists already.* use --force"):
        check_free(outputs([str(path)]), ())
    (tmp_path / "link.html").symlink_to(path)
    with pytest.raises(InvalidRequestError, match="exists already"):
        check_free(outputs([str(tmp_path / "link.html")]), ())
    assert outputs([str(tmp_path / "link.html")]) == (Output(str(path), ".html"),)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, make: Callable[[str], None]) -> None:
    path = str(tmp_path / "report.html")
    make(path)
    with pytest.raises(InvalidRequestError, match="is not a file"):
        outputs([path])


def test_a_report_that_is_named_twice_or_has_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="twice"):
        outputs([str(tmp_path / "a.html"), f"{tmp_path}/./a.html"])
    with pytest.raises(InvalidRequestError, match="no folder"):
        outputs([str(tmp_path / "missing" / "a.html")])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device /dev/full is Linux's")
@pytest.mark.parametrize("ending", FORMATS)
def test_a_report_that_does_not_fit_is_named_by_where_it_should_go(
    ending: str, everything: Overview, tmp_path: Path
) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"final\.\w+ could not be written: No space left on device"):
        Output(f"final{ending}", ending).write(everything, "/dev/full", str(tmp_path))
    assert os.listdir(tmp_path) == []
