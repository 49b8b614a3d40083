"""What the commands list is never in memory as a whole, however much it is."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ResourceError
from plugin_survey.cataloguing.catalogue import Catalogue, Outcome
from plugin_survey.cataloguing.catalogue import Run as Begun
from plugin_survey.duplicates import HELD
from plugin_survey.use.choice import Chosen
from plugin_survey.use.comparison import differences
from plugin_survey.use.copy import Equal
from plugin_survey.use.equal import EqualFiles
from plugin_survey.use.reader import reading
from plugin_survey.use.spool import Spool
from plugin_survey.use.undo_log import BLOCK, lines_backwards

NAMES = 20_000
MOST = 2 << 20
"""Bytes that may be in memory: a tenth of what a list of all would take."""
Run = Callable[..., tuple[str, str]]


def make(path: Path, content: bytes = b"same", names: int = NAMES) -> str:
    """Make a catalogue in which half of the names are one group, each file with two of them, and the others pairs."""
    catalogue = Catalogue(str(path), Begun(0.0, [{"path": "/there"}], {}, "sha256"))
    for start in range(0, names, 1000):
        rows = []
        for number in range(start, start + 1000):
            same = number < names // 2
            digest = content if same else b"%d" % (number // 2)
            name = b"/there/a folder with a long name/%06d" % (number * 7919 % names)
            inode = number // 2 if same else number
            rows.append((name, 9 if same else 5, inode, inode, 1, inode, digest.rjust(32), "text"))
        catalogue.add(rows, [])
    catalogue.conclude()
    catalogue.finish(Outcome())
    return str(path)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(tmp_path_factory.mktemp("many") / "catalogue")


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST


def test_groups_of_equal_files_are_not_held(many: str) -> None:
    with reading(many) as reader, little_memory():
        groups = EqualFiles(Chosen(reader, None), 1)
        seen = [(len(group.copies), sum(len(copy.names) for copy in group.copies)) for group in groups]
        wasted = groups.wasted
    assert Counter(seen) == {(NAMES // 4, NAMES // 2): 1, (2, 2): NAMES // 4}
    assert len(seen) == len(groups_of(many))
    assert wasted == 9 * (NAMES // 4 - 1) + 5 * NAMES // 4


def groups_of(path: str, min_size: int = 1) -> list[Equal]:
    with reading(path) as reader:
        return [group._replace(copies=tuple(group.copies)) for group in EqualFiles(Chosen(reader, None), min_size)]


def test_a_large_group_is_sorted_as_a_small_one(many: str) -> None:
    large, *small = groups_of(many)
    assert len(large.copies) > HELD
    for group in (large, *small[:100]):
        names = [copy.names for copy in group.copies]
        assert names == sorted(names)
        assert all(list(one) == sorted(one) for one in names)
    assert all(len(copy.names) == 2 and copy.size == 9 for copy in large.copies)
    firsts = [next(iter(group.copies)).names for group in small]
    assert firsts == sorted(firsts)


def test_a_group_that_lacks_files_shows_that_the_catalogue_is_damaged(many: str) -> None:
    with reading(many) as reader:
        groups = EqualFiles(Chosen(reader, None), 1)
        reader.database.execute("UPDATE temp.equal SET files = files + 1")
        with pytest.raises(ResourceError, match="its index contradicts its files"):
            list(groups)


def test_differences_are_not_held(many: str, tmp_path: Path) -> None:
    other = make(tmp_path / "other", b"other")
    with reading(many) as one, reading(other) as another, little_memory():
        counts = Counter(difference.what for difference in differences(one, another))
    assert counts == {"changed": NAMES // 2}


def test_what_waits_in_a_spool_is_not_held() -> None:
    entry = {"path": "a name\udc80 as long as those of many files are" * 2, "size": 1}
    with little_memory(), closing(Spool()) as spool:
        assert not spool
        spool.extend({**entry, "number": number} for number in range(NAMES))
        assert len(spool) == NAMES
        assert all(one == {**entry, "number": number} for number, one in enumerate(spool))


def test_a_full_disk_for_what_waits_is_explained() -> None:
    program = """
from framework.errors import ResourceUnavailableError
from plugin_survey.use.spool import Spool
spool = Spool()
try:
    spool.extend({"number": number} for number in range(1_000_000))
    list(spool)
except ResourceUnavailableError as error:
    print(error, error.remedy)
spool.close()
"""

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))

    output = subprocess.check_output([sys.executable, "-c", program], preexec_fn=small, text=True)
    assert "There is no room for the temporary file" in output
    assert "TMPDIR" in output


@given(st.lists(st.integers(0, 3 * BLOCK // 2), max_size=5), st.integers(0, 2))
def test_lines_come_backwards_without_one_that_was_cut_off(lengths: list[int], cut: int) -> None:
    lines = [(b"%d " % number).rjust(length, b".") for number, length in enumerate(lengths)]
    content = b"".join(line + b"\n" for line in lines)
    found = list(lines_backwards(io.BytesIO(content + b"cut off"[:cut])))
    assert found == lines[::-1]


def test_an_undo_log_is_not_held(tmp_path: Path) -> None:
    line = b'{"action": "delete", "path": {"path": "/a folder with a long name/a file"}}\n'
    (tmp_path / "log").write_bytes(line * NAMES * 3)
    with (tmp_path / "log").open("rb") as file, little_memory():
        assert sum(1 for _ in lines_backwards(file)) == NAMES * 3


@pytest.mark.parametrize("arguments", [(), ("--delete", "--keep", "first")])
def test_all_formats_say_the_same(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    names = 2000
    command = ("duplicates", "--catalogue", make(tmp_path / "catalogue", names=names), *arguments)
    code = 1 if arguments else 0  # no file is there
    whole = json.loads(run(*command, "-o", "json", code=code)[0])
    lines = run(*command, "-o", "ndjson", code=code)[0].splitlines()
    assert [json.loads(line) for line in lines] == whole
    assert len(whole) == (names if arguments else names // 4 + 1)
    table = run(*command, *(() if arguments else ("--limit", "0")), code=code)[0].splitlines()
    assert len(table) == names + 1
