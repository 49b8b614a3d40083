from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.cataloguing.catalogue import Catalogue, Outcome, Run
from plugin_survey.cataloguing.draft import Draft, drafted
from plugin_survey.cataloguing.schema import SCHEMA_VERSION
from plugin_survey.reading.fingerprint import Row

RUN = Run(1000.0, [], {}, "sha256")


def row(number: int) -> Row:
    return (b"/p/%d" % number, 5, 1, 1, 2, number, b"d" * 32, "")


def write(path: str, *numbers: int, finish: bool = True) -> None:
    with closing(Catalogue(path, RUN)) as catalogue:
        catalogue.add([row(number) for number in numbers], [])
        if finish:
            catalogue.finish(Outcome())
        else:
            catalogue.close(commit=True)


def inodes(path: str) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        return [inode for (inode,) in database.execute("SELECT inode FROM file ORDER BY inode")]


def published(target: str, *numbers: int) -> None:
    draft = Draft(target)
    write(draft.path, *numbers)
    draft.publish()


def version_of(target: str, version: int) -> bytes:
    """Return a catalogue of a version, which is not published."""
    write(target, 1)
    with closing(sqlite3.connect(target)) as database:
        database.execute(f"PRAGMA user_version={version}")
    content = Path(target).read_bytes()
    os.unlink(target)
    return content


@pytest.fixture
def target(tmp_path: Path) -> str:
    return str(tmp_path / "c")


def test_a_draft_takes_the_place_of_the_catalogue_and_begins_as_its_copy(target: str) -> None:
    published(target, 1, 2)
    draft = Draft(target)
    assert inodes(draft.path) == [1, 2]
    write(draft.path, 3)
    assert inodes(target) == [1, 2]
    draft.publish()
    assert inodes(target) == [1, 2, 3]
    assert os.listdir(os.path.dirname(target)) == ["c"]


def test_what_an_unfinished_survey_left_is_gone_on_with(target: str) -> None:
    published(target, 1)
    draft = Draft(target)
    write(draft.path, 2, finish=False)
    assert draft.keep()
    told: list[str] = []
    again = Draft(target, told.append)
    assert inodes(again.path) == [1, 2]
    assert "going on" in told[0]
    again.discard()


def test_nothing_is_kept_of_a_draft_without_content(target: str) -> None:
    assert not Draft(target).keep()
    assert os.listdir(os.path.dirname(target)) == []


def test_a_damaged_draft_is_told_of_and_begun_anew(target: str) -> None:
    published(target, 1)
    Path(target + ".part").write_bytes(Path(target).read_bytes()[:100] + b"rubbish" * 1000)
    told: list[str] = []
    draft = Draft(target, told.append)
    assert "damaged" in told[0]
    assert inodes(draft.path) == [1]
    draft.discard()


@pytest.mark.parametrize(
    "content", [b"a download of somebody", b"SQLite format 3\0" + bytes(84) + b"somebody's database"]
)
def test_what_no_survey_left_under_the_name_of_a_draft_is_not_touched(target: str, content: bytes) -> None:
    theirs = Path(target + ".part")
    theirs.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=r"c\.part exists and is not a catalogue"):
        Draft(target)
    assert theirs.read_bytes() == content


def test_a_draft_of_a_later_version_is_not_touched(target: str) -> None:
    Path(target + ".part").write_bytes(later := version_of(target, SCHEMA_VERSION + 1))
    with pytest.raises(InvalidRequestError, match=f"has version {SCHEMA_VERSION + 1}"):
        Draft(target)
    assert Path(target + ".part").read_bytes() == later


def test_a_draft_whose_beginning_was_never_written_is_begun_anew(target: str) -> None:
    Path(target + ".part").write_bytes(bytes(8192))
    Draft(target).discard()
    assert os.listdir(os.path.dirname(target)) == []


def test_a_copy_that_was_cut_short_is_made_again_without_a_word(target: str) -> None:
    published(target, *range(1000))
    content = Path(target).read_bytes()
    Path(target + ".part").write_bytes(bytes(100) + content[100 : len(content) // 2])
    told: list[str] = []
    draft = Draft(target, told.append)
    assert not told
    assert inodes(draft.path) == list(range(1000))
    draft.discard()


def test_a_damaged_catalogue_is_kept_beside_the_new_one(target: str) -> None:
    published(target, *range(1000))
    os.truncate(target, os.path.getsize(target) // 2)
    before = Path(target).read_bytes()
    told: list[str] = []
    for _ in range(2):  # kept once, however often it is tried
        Draft(target, told.append).discard()
    assert len(told) == 1
    draft = Draft(target)
    write(draft.path, 7)
    draft.publish()
    assert Path(target + ".damaged").read_bytes() == before
    assert inodes(target) == [7]
    os.truncate(target, os.path.getsize(target) // 2)
    Draft(target, told.append).discard()
    assert os.path.exists(target + ".damaged.2")


def test_a_catalogue_of_a_later_version_is_not_touched(target: str) -> None:
    published(target, 1)
    with closing(sqlite3.connect(target)) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(InvalidRequestError, match="version 99"):
        Draft(target)
    assert os.listdir(os.path.dirname(target)) == ["c"]


def test_two_surveys_do_not_write_one_catalogue(target: str) -> None:
    draft = Draft(target)
    with pytest.raises(ResourceUnavailableError, match="another survey"):
        Draft(target)
    draft.discard()
    Draft(target).discard()


def test_an_error_discards_the_draft_and_an_interrupt_keeps_it(target: str) -> None:
    def fail(error: BaseException) -> None:
        with drafted(target, lambda _: None) as draft:
            write(draft.path, 1, finish=False)
            raise error

    with pytest.raises(ResourceUnavailableError):
        fail(ResourceUnavailableError("no space"))
    assert os.listdir(os.path.dirname(target)) == []
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert inodes(target + ".part") == [1]


KILLED = """
import os, signal, sys
from plugin_survey.cataloguing import catalogue
from plugin_survey.cataloguing.catalogue import Catalogue, Run
from plugin_survey.cataloguing.draft import Draft
catalogue.COMMIT_INTERVAL = 0.0
draft = Draft(sys.argv[1])
written = Catalogue(draft.path, Run(1000.0, [], {}, "sha256"))
def row(number):
    return (b"/p/%d" % number, 5, 1, 1, 2, number, b"d" * 32, "")
for number in range(int(sys.argv[2])):
    written.add([row(number)], [])
catalogue.COMMIT_INTERVAL = 1e9
# more than fits into memory, so that what was not committed is in the file already
written.database.execute("PRAGMA cache_size=10")
written.add([row(number) for number in range(100_000, 120_000)], [])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_survives_a_kill_and_the_rest_is_undone(target: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, target, "20"], check=False, timeout=60)
    assert done.returncode == -9
    draft = Draft(target)
    assert inodes(draft.path) == list(range(20))
    draft.discard()
