"""What a watch takes for a change, and what it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS
from plugin_survey.places import identities
from plugin_survey.reading.glance import glance
from plugin_survey.reading.walk import Walker


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "folder").mkdir(parents=True)
    for name in ("one", "two", "folder/three"):
        (root / name).write_text(name)
    return root


def seen(tree: Path, *own: Path) -> int:
    """Glance at a tree in which nothing is so new that it might change again unseen."""
    newest = max(path.lstat().st_ctime_ns for path in [tree, *tree.rglob("*")])
    while time.time_ns() < newest + 2 * UNSETTLED_NS:
        os.sched_yield()
    return glance(Walker([os.fsencode(tree)]), identities(*map(str, own)))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is made": lambda tree: (tree / "new").touch(),
    "a file goes": lambda tree: (tree / "one").unlink(),
    "a file is written to": lambda tree: (tree / "one").write_text("ONE"),
    "a file is written to and its time put back": lambda tree: rewrite(tree / "one"),
    "a file is moved": lambda tree: (tree / "one").rename(tree / "folder" / "one"),
    "two files change names": lambda tree: swap(tree / "one", tree / "two"),
    "a file may be read by others": lambda tree: (tree / "one").chmod(0o604),
    "a folder is made": lambda tree: (tree / "empty").mkdir(),
    "a folder is renamed": lambda tree: (tree / "folder").rename(tree / "renamed"),
    "a link is made": lambda tree: (tree / "link").symlink_to("one"),
    "the folder goes": lambda tree: tree.rename(tree.parent / "away"),
}


def rewrite(path: Path) -> None:
    before = path.stat()
    path.write_text("eno")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(one: Path, other: Path) -> None:
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_seen_once(tree: Path, change: str) -> None:
    before = seen(tree)
    assert seen(tree) == before
    CHANGES[change](tree)
    if not tree.exists():
        assert glance(Walker([os.fsencode(tree)]), frozenset()) != before
        return
    after = seen(tree)
    assert after != before
    assert seen(tree) == after


def test_what_is_read_or_the_survey_writes_is_no_change(tree: Path) -> None:
    before = seen(tree)
    (tree / "one").read_text()
    catalogue = tree / "catalogue"
    catalogue.touch()
    assert seen(tree, catalogue) == before


def test_what_may_change_again_without_another_time_stamp_is_a_change(tree: Path) -> None:
    later = time.time() + 1000
    os.utime(tree / "one", (later, later))
    (tree / "one").touch()
    walker = [Walker([os.fsencode(tree)]) for _ in range(2)]
    (tree / "one").chmod(0o600)  # just now
    assert glance(walker[0], frozenset()) != glance(walker[1], frozenset())
