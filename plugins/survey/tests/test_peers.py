"""The same duplicate groups as fdupes, jdupes and rdfind find, compared as sets of sets of inodes."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_survey.reporting.overview import Overview

Groups = set[frozenset[tuple[int, int]]]


def identity(path: bytes) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def lines_as_groups(output: bytes) -> Groups:
    """Read the paragraphs of fdupes and jdupes; only for trees without a newline in a name."""
    paragraphs = [block.splitlines() for block in output.split(b"\n\n") if block.strip()]
    return {frozenset(identity(line) for line in block) for block in paragraphs}


def fdupes(root: Path, scratch: Path) -> Groups:
    command = ["fdupes", "-r", "-q", "-n", str(root)]
    return lines_as_groups(subprocess.run(command, check=True, capture_output=True, cwd=scratch).stdout)


def jdupes(root: Path, scratch: Path) -> Groups:
    command = ["jdupes", "-r", "-q", str(root)]
    found = subprocess.run(command, check=True, capture_output=True, cwd=scratch).stdout
    return lines_as_groups(found) if b"No duplicates found" not in found else set()


def rdfind(root: Path, scratch: Path) -> Groups:
    results = scratch / "results.txt"
    command = ["rdfind", "-dryrun", "true", "-checksum", "sha256", "-outputname", str(results), str(root)]
    subprocess.run(command, check=True, capture_output=True, cwd=scratch)
    groups: dict[bytes, set[tuple[int, int]]] = {}
    for line in results.read_bytes().splitlines():
        if line.startswith(b"DUPTYPE"):
            _, number, _, _, _, _, _, path = line.split(b" ", 7)
            groups.setdefault(number.lstrip(b"-"), set()).add(identity(path))
    return {frozenset(group) for group in groups.values()}


PEERS = {"fdupes": fdupes, "jdupes": jdupes, "rdfind": rdfind}


@pytest.fixture(params=sorted(PEERS))
def peer(request: pytest.FixtureRequest) -> Callable[[Path, Path], Groups]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (Debian package {request.param})")
    return PEERS[request.param]


def ours(found: Overview) -> Groups:
    return {frozenset(identity(names[0]) for names in group.files) for group in found.duplicates}


@pytest.fixture
def nasty_tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    numbers = random.Random(7)
    (root / "a" / "b").mkdir(parents=True)
    three = numbers.randbytes(5000)
    for place in (root / "three", root / "a" / "three", root / "a" / "b" / "other name"):
        place.write_bytes(three)
    large = numbers.randbytes((3 << 20) + 17)
    (root / "large-1").write_bytes(large)
    (root / "a" / "large-2").write_bytes(large)
    (root / "a" / "large-3").write_bytes(large[:-1] + bytes([large[-1] ^ 1]))
    for index in range(4):
        (root / f"same-size-{index}").write_bytes(numbers.randbytes(100))
    for raw in (b"not-utf8-\xff\xfe", b"not-utf8-\xc3"):
        with open(os.path.join(os.fsencode(root), raw), "wb") as file:
            file.write(b"content under a name that is no text")
    (root / "hard-1").write_bytes(b"linked" * 9)
    (root / "a" / "hard-2").hardlink_to(root / "hard-1")
    (root / "linked-and-copied").write_bytes(b"copied" * 9)
    (root / "a" / "linked").hardlink_to(root / "linked-and-copied")
    (root / "a" / "copy").write_bytes(b"copied" * 9)
    (root / "empty-1").touch()
    (root / "empty-2").touch()
    for name in ("sparse-1", "sparse-2"):
        with (root / name).open("wb") as file:
            file.truncate(5 << 20)
    (root / "loop").symlink_to(root)
    (root / "a" / "up").symlink_to("..")
    (root / "dangling").symlink_to("nowhere")
    (root / "link to a file").symlink_to("three")
    os.mkfifo(root / "pipe")
    deep = root
    for _ in range(200):
        deep /= "d"
        deep.mkdir()
    (deep / "deepest").write_bytes(three)
    return root


DEEPEST = Path(*["d"] * 200, "deepest")


def test_groups_of_a_nasty_tree_are_those_of_a_peer(
    nasty_tree: Path,
    tmp_path: Path,
    overview_of: Callable[..., Overview],
    peer: Callable[[Path, Path], Groups],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(nasty_tree)
    if peer is rdfind:
        (nasty_tree / DEEPEST).unlink()  # it silently stops at 50 levels
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = overview_of(nasty_tree)
        assert len(found.duplicates) == 5
        assert ours(found) == peer(nasty_tree, tmp_path)


def test_groups_of_the_standard_library_are_those_of_a_peer(
    tmp_path: Path, overview_of: Callable[..., Overview], peer: Callable[[Path, Path], Groups]
) -> None:
    # a copy: the peers have no option to leave folders out
    stdlib = tmp_path / "stdlib"
    ignored = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages")
    shutil.copytree(sysconfig.get_path("stdlib"), stdlib, ignore=ignored, symlinks=True)
    found = overview_of(stdlib)
    assert found.duplicates
    assert not found.problems
    assert ours(found) == peer(stdlib, tmp_path)


def test_a_newline_in_a_name_changes_nothing(tmp_path: Path, overview_of: Callable[..., Overview]) -> None:
    (tmp_path / "one\nname").write_bytes(b"same")
    (tmp_path / "another").write_bytes(b"same")
    (group,) = overview_of(tmp_path).duplicates
    assert [names[0].rpartition(b"/")[2] for names in group.files] == [b"another", b"one\nname"]
