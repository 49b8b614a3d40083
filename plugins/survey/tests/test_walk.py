from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from plugin_survey.reading.walk import FOLDERS_A_PORTION, PORTION, Walker


def walked(walker: Walker) -> list[bytes]:
    found: list[bytes] = []
    while (portion := walker.portion()) is not None:
        found += portion
    return found


def names(walker: Walker) -> list[str]:
    return sorted(os.fsdecode(os.path.basename(path)) for path in walked(walker))


def walker(*roots: Path, **options: object) -> Walker:
    return Walker([os.fsencode(root) for root in roots], **options)  # type: ignore[arg-type]  # options of each test


def test_names_that_are_not_utf8_come_back_byte_for_byte(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9\n\xff")
    with open(path, "wb"):
        pass
    assert walked(walker(tmp_path)) == [path]


def test_links_and_special_files_are_counted_and_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "to file").symlink_to("file")
    (tmp_path / "to self").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        walk = walker(tmp_path)
        assert names(walk) == ["file"]
    assert (walk.counts.symlinks, walk.counts.pipes, walk.counts.sockets) == (3, 1, 1)
    assert (walk.counts.files, walk.counts.folders) == (1, 1)


def test_devices_are_counted(tmp_path: Path) -> None:
    walk = walker(Path("/dev/null"))
    assert walked(walk) == []
    assert walk.counts.devices == 1


@pytest.mark.parametrize("order", [1, -1])
def test_what_several_roots_share_is_found_once(tmp_path: Path, order: int) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").touch()
    (tmp_path / "alias").symlink_to("inner")
    roots = [tmp_path, tmp_path / "inner", tmp_path / "alias", tmp_path / "inner" / "file", tmp_path][::order]
    walk = walker(*roots)
    assert names(walk) == ["file"]
    assert walk.counts.folders == 2


def test_a_root_may_be_a_file_or_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "link").symlink_to("folder/file")
    assert names(walker(tmp_path / "folder" / "file")) == ["file"]
    assert names(walker(tmp_path / "link")) == ["file"]
    assert names(walker(tmp_path / "link", tmp_path / "folder" / "file")) == ["file"]


def test_a_pattern_without_slash_is_compared_with_names_at_any_depth(tmp_path: Path) -> None:
    for path in ("keep", "drop.tmp", "a/drop.tmp", "skip/inside", "a/skip/inside"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    walk = walker(tmp_path, exclude=["*.tmp", "skip"])
    assert names(walk) == ["keep"]
    assert walk.counts.excluded == 4


def test_a_pattern_with_slash_is_compared_with_the_path_below_the_root(tmp_path: Path) -> None:
    for path in ("a/b/one", "b/two", "a/three"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert names(walker(tmp_path, exclude=["a/b"])) == ["three", "two"]


def test_a_folder_that_vanished_is_a_problem_and_the_rest_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    walk = walker(tmp_path / "gone", tmp_path)
    assert names(walk) == ["file"]
    assert [(one.path, one.reason) for one in walk.take_problems()] == [(os.fsencode(tmp_path / "gone"), "vanished")]
    assert walk.take_problems() == []


def test_a_folder_replaced_by_a_link_while_walking_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    root = tmp_path / "root"
    # more folders than one portion reads, so that some are still waiting when it ends
    for index in range(FOLDERS_A_PORTION + 5):
        (root / f"d{index}").mkdir(parents=True)
    walk = walker(root)
    found = walk.portion()
    for index in range(FOLDERS_A_PORTION + 5):
        (root / f"d{index}").rmdir()
        (root / f"d{index}").symlink_to(outside)
    while found is not None:
        assert found == []
        found = walk.portion()
    assert {one.reason for one in walk.take_problems()} <= {"replaced", "vanished"}
    assert walk.counts.folders == FOLDERS_A_PORTION


def test_a_portion_of_a_huge_folder_is_bounded(tmp_path: Path) -> None:
    for index in range(PORTION + 10):
        (tmp_path / str(index)).touch()
    walk = walker(tmp_path)
    sizes = []
    while (portion := walk.portion()) is not None:
        sizes.append(len(portion))
    assert max(sizes) <= PORTION
    assert sum(sizes) == walk.counts.files == PORTION + 10


def test_a_pattern_may_end_in_a_slash(tmp_path: Path) -> None:
    for path in ("a/skip/inside", "keep"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert names(walker(tmp_path, exclude=["skip/"])) == ["keep"]


def test_the_state_of_the_system_is_surveyed_only_as_a_root(tmp_path: Path) -> None:
    mount = tmp_path / "proc"
    mount.mkdir()
    (tmp_path / "file").touch()
    done = subprocess.run(["mount", "-t", "proc", "none", mount], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        walk = walker(tmp_path)
        assert names(walk) == ["file"]
        assert walk.counts.other_file_systems == 1
        assert "version" in names(walker(mount, exclude=["[0-9]*", "self", "thread-self", "sys"]))
    finally:
        subprocess.run(["umount", mount], check=True)


def test_one_file_system_does_not_enter_a_mount(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    mount = tmp_path / "mount"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", mount], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        (mount / "there").touch()
        walk = walker(tmp_path, one_file_system=True)
        assert names(walk) == ["here"]
        assert walk.counts.other_file_systems == 1
        assert names(walker(tmp_path)) == ["here", "there"]
        assert names(walker(tmp_path, mount, one_file_system=True)) == ["here", "there"]
    finally:
        subprocess.run(["umount", mount], check=True)
