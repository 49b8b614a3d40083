from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugin_survey.duplicates import DuplicateGroup, find_groups
from plugin_survey.reporting.report import Findings

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
    survey_of: Callable[..., Findings],
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

    found = survey_of(root, min_size=min_size)
    assert {frozenset(map(frozenset, group.files)) for group in found.groups} == groups
    assert (found.names, found.files) == (len(paths), len({os.stat(path).st_ino for path in paths}))


def test_names_of_one_file_are_no_duplicates_and_waste_nothing() -> None:
    assert find_groups([(5, b"d", b"one", 1, 7), (5, b"d", b"two", 1, 7)]) == []


def test_a_group_counts_files_and_not_names() -> None:
    twins = [(5, b"d", b"a", 1, 7), (5, b"d", b"b", 1, 7), (5, b"d", b"c", 1, 8), (5, b"d", b"e", 2, 8)]
    (group,) = find_groups(twins)
    assert group.files == ((b"a", b"b"), (b"c",), (b"e",))
    assert group.wasted == 10


def test_the_most_wasteful_group_comes_first() -> None:
    small = [(1, b"x", name, 1, inode) for inode, name in enumerate([b"a", b"b", b"c"])]
    large = [(9, b"y", name, 1, inode) for inode, name in enumerate([b"d", b"e"], 10)]
    assert [group.size for group in find_groups([*small, *large])] == [9, 1]


def test_the_rows_of_a_group_are_immutable() -> None:
    group = DuplicateGroup(1, b"", ((b"a",), (b"b",)))
    with pytest.raises(AttributeError):
        group.size = 2  # type: ignore[misc]  # that is the point


def test_several_copies_in_one_folder_and_below_make_one_group(
    tmp_path: Path, survey_of: Callable[..., Findings]
) -> None:
    (tmp_path / "below").mkdir()
    for path in ("one", "two", "below/three"):
        (tmp_path / path).write_bytes(b"z" * 3_000_000)
    (group,) = survey_of(tmp_path).groups
    assert len(group.files) == 3
    assert group.wasted == 6_000_000
