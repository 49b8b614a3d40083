from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugin_survey.duplicates import HELD, DuplicateGroup
from plugin_survey.reporting.overview import Overview

# few contents and few names, so that equal files, equal sizes and hard links are common
CONTENTS = st.sampled_from([b"", b"a", b"b", b"aa", b"ab", b"x" * 5000, b"x" * 4999 + b"y"])
NAMES = st.sampled_from([b"n", b"m", b"\xff", b"new\nline", b"sp ace"])
FILES = st.dictionaries(st.tuples(st.sampled_from([b".", b"d", b"d/e"]), NAMES), CONTENTS, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, linked=st.lists(st.integers(0, 11), max_size=4), min_size=st.integers(0, 3))
def test_groups_equal_those_found_by_comparing_bytes(
    files: dict[tuple[bytes, bytes], bytes],
    linked: list[int],
    min_size: int,
    overview_of: Callable[..., Overview],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = os.fsencode(tmp_path_factory.mktemp("tree"))
    os.makedirs(os.path.join(root, b"d/e"))
    paths = []
    for (folder, name), content in files.items():
        paths.append(os.path.normpath(os.path.join(root, folder, name)))
        with open(paths[-1], "wb") as file:
            file.write(content)
    for index in linked:
        if index < len(files):
            paths.append(paths[index] + b"-link%d" % len(paths))
            os.link(paths[index], paths[-1])

    expected: dict[bytes, dict[int, set[bytes]]] = {}
    for path in paths:
        with open(path, "rb") as file:
            content = file.read()
        if len(content) >= min_size:
            expected.setdefault(content, {}).setdefault(os.stat(path).st_ino, set()).add(path)
    groups = {frozenset(map(frozenset, inodes.values())) for inodes in expected.values() if len(inodes) > 1}

    found = overview_of(root, min_size=min_size)
    assert {frozenset(map(frozenset, group.files)) for group in found.duplicates} == groups
    assert (found.totals.names, found.totals.files) == (len(paths), len({os.stat(path).st_ino for path in paths}))


def test_names_of_one_file_are_no_duplicates_and_waste_nothing(
    tmp_path: Path, overview_of: Callable[..., Overview]
) -> None:
    (tmp_path / "one").write_bytes(b"12345")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert list(overview_of(tmp_path).duplicates) == []


@pytest.mark.parametrize("held", [HELD, 0], ids=["read at once", "read one by one"])
def test_a_group_counts_files_and_not_names(
    tmp_path: Path, overview_of: Callable[..., Overview], monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("plugin_survey.duplicates.HELD", held)
    for name in "eca":
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "d").hardlink_to(tmp_path / "a")
    (group,) = overview_of(tmp_path).duplicates
    names = [tuple(os.path.basename(path) for path in names) for names in group.files]
    assert names == [(b"a", b"d"), (b"c",), (b"e",)]
    assert (len(group.files), group.wasted) == (3, 10)


def test_the_most_wasteful_group_comes_first_and_of_two_that_of_the_first_name(
    tmp_path: Path, overview_of: Callable[..., Overview]
) -> None:
    for content, names in ((b"x", "abc"), (b"y", "def"), (b"z" * 9, "gh")):
        for name in names:
            (tmp_path / name).write_bytes(content)
    overview = overview_of(tmp_path)
    firsts = [os.path.basename(next(iter(group.files))[0]) for group in overview.duplicates]
    assert firsts == [b"g", b"a", b"d"]
    assert len(overview.duplicates) == 3
    assert overview.wasted_bytes == 13


def test_the_rows_of_a_group_are_immutable() -> None:
    group = DuplicateGroup(1, b"", ((b"a",), (b"b",)))
    with pytest.raises(AttributeError):
        group.size = 2  # type: ignore[misc]  # that is the point


def test_several_copies_in_one_folder_and_below_make_one_group(
    tmp_path: Path, overview_of: Callable[..., Overview]
) -> None:
    (tmp_path / "below").mkdir()
    for path in ("one", "two", "below/three"):
        (tmp_path / path).write_bytes(b"z" * 3_000_000)
    (group,) = overview_of(tmp_path).duplicates
    assert len(group.files) == 3
    assert group.wasted == 6_000_000
