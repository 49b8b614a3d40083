"""What is known of reports that a survey had put in their places when it was killed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from plugin_survey.reporting.publication import Publication


class Killed(BaseException):
    """What ends a survey between two steps."""


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    return str(tmp_path / "a catalogue \udcff")


def killed_after(publication: Publication, *reports: Path) -> None:
    """Publish some reports, and be killed before the last one is in its place."""
    drafts = [report.with_name(f"draft of {report.name}") for report in reports]
    for draft in drafts:
        draft.write_text("report")
        os.utime(draft, (1, 1))  # so that whatever is written later shows
    with suppress(Killed), publication.noted(zip(map(str, reports), map(str, drafts), strict=True)):
        for report, draft in zip(reports[:-1], drafts, strict=False):
            draft.rename(report)
        raise Killed


@pytest.fixture
def reports(tmp_path: Path, catalogue: str) -> list[Path]:
    """Two reports, of which only the first was put in its place, and nothing else."""
    found = [tmp_path / "one\n.html", tmp_path / "two.json"]
    killed_after(Publication(catalogue), *found)
    return found


def test_what_was_put_there_is_known_until_all_is(catalogue: str, reports: list[Path]) -> None:
    publication = Publication(catalogue)
    assert publication.unfinished() == {str(reports[0])}
    with publication.noted([]):
        pass
    assert publication.unfinished() == frozenset()
    assert not os.path.exists(publication.path)


def replace(report: Path) -> None:
    report.rename(report.with_name("mine"))
    report.write_text("report")


def become_folder(report: Path) -> None:
    report.unlink()
    report.mkdir()


def become_link(report: Path) -> None:
    report.rename(report.with_name("mine"))
    report.symlink_to("mine")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": lambda report: report.write_text("REPORT"),
    "longer": lambda report: report.write_text("report of mine"),
    "another file": replace,
    "gone": Path.unlink,
    "a folder": become_folder,
    "a link to it": become_link,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_has_changed_since_is_no_report_of_the_survey(
    catalogue: str, reports: list[Path], change: str
) -> None:
    CHANGES[change](reports[0])
    assert Publication(catalogue).unfinished() == frozenset()


def test_what_is_being_published_is_not_unfinished(catalogue: str, reports: list[Path]) -> None:
    publication = Publication(catalogue)
    with open(publication.path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert publication.unfinished() == frozenset()
    assert publication.unfinished() == {str(reports[0])}


@pytest.mark.parametrize("content", ["mine", "[]\n", "{}\n[1]\n"])
def test_a_file_of_somebody_else_stays(catalogue: str, tmp_path: Path, content: str) -> None:
    publication = Publication(catalogue)
    Path(publication.path).write_text(content)
    killed_after(publication, tmp_path / "one", tmp_path / "two")
    assert publication.unfinished() == frozenset()
    assert Path(publication.path).read_text() == content


@pytest.mark.parametrize("line", ["{", "[]", "1", '["x", "y"]', '{"a": 1}', "\udcff"])
def test_a_note_that_is_damaged_tells_nothing(catalogue: str, reports: list[Path], line: str) -> None:
    publication = Publication(catalogue)
    with open(publication.path, "a", errors="surrogateescape") as file:
        file.write(line + "\n")
    assert publication.unfinished() <= {str(reports[0])}
    assert json.dumps(sorted(publication.unfinished()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_a_note_of_another_user_tells_nothing(catalogue: str, reports: list[Path]) -> None:
    publication = Publication(catalogue)
    os.chown(publication.path, 54321, -1)
    assert publication.unfinished() == frozenset()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device /dev/full is Linux's")
def test_a_note_that_cannot_be_written_is_no_obstacle(catalogue: str, tmp_path: Path) -> None:
    publication = Publication(catalogue)
    os.symlink("/dev/full", publication.path)
    killed_after(publication, tmp_path / "one", tmp_path / "two")
    assert publication.unfinished() == frozenset()
