"""`Traces`: what a process holds at one moment, so that two moments can be compared."""

from __future__ import annotations

import gc
import glob
import os
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from framework.journal import Journal
from framework.testing.outside import groups, is_notes, segments

PATIENCE_S = 2.0
"""How long what is about to vanish, as a thread that has just been told to end, may take."""


def open_descriptors() -> set[str]:
    """Return the open file descriptors of this process, each with what it leads to; empty where that cannot be read.

    That of the journal of leases is left out: it is the kernel's, and stays open as long as the process lives.
    """
    found: set[str] = set()
    journal = Journal.existing()
    kept = journal.path if journal else ""
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the descriptor of the listing itself
        if target != kept and not is_notes(target):
            found.add(f"{number} {target}")
    return found


def child_processes() -> set[int]:
    """Return the numbers of the direct children of this process; empty where that cannot be read."""
    found: set[int] = set()
    for file in glob.glob("/proc/self/task/*/children"):
        try:
            with open(file, encoding="ascii") as stream:
                found.update(map(int, stream.read().split()))
        except OSError:
            continue  # the thread has ended meanwhile
    return found


def has_ended(pid: int) -> bool:
    """Return whether a child has ended, though nobody may have waited for it yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True


def files_below(folder: str) -> set[str]:
    """Return the paths, relative to a folder, of all files and folders that are in it."""
    found: set[str] = set()
    for place, folders, files in os.walk(folder):
        found.update(os.path.relpath(os.path.join(place, one), folder) for one in (*folders, *files))
    return found


@dataclass(frozen=True, slots=True)
class Traces:
    """What this process holds, and what there is outside of it that it has made.

    That is: its threads, descriptors and children; the files in the folder for temporary ones; segments of shared
    memory in `/dev/shm`, and control groups.
    """

    threads: frozenset[str]
    descriptors: frozenset[str]
    children: frozenset[int]
    files: frozenset[str]
    segments: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def now(cls) -> Traces:
        """Return what there is now, after what nobody refers to any more has been collected."""
        gc.collect()
        return cls._seen()

    def left(self) -> dict[str, list[str]]:
        """Return what there is now and was not then, by family; what is just going is waited for."""
        deadline = time.monotonic() + PATIENCE_S
        found = self.added()
        while found and time.monotonic() < deadline:
            time.sleep(0.01)
            gc.collect()
            found = self.added()
        return found

    def added(self) -> dict[str, list[str]]:
        """Return what there is at this moment and was not then, by family."""
        later = self._seen()
        return _by_family(
            threads=later.threads - self.threads,
            descriptors=later.descriptors - self.descriptors,
            children=later.children - self.children,
            files=later.files - self.files,
            segments=later.segments - self.segments,
            groups=later.groups - self.groups,
        )

    @classmethod
    def missing(cls, made: dict[str, list[str]]) -> dict[str, list[str]]:
        """Return which of an answer of `added` is not there any more; a child is not when it has ended."""
        now = cls._seen()
        gone = {family: set(those) - set(map(str, getattr(now, family))) for family, those in made.items()}
        gone["children"] = {one for one in made.get("children", ()) if has_ended(int(one))}
        return _by_family(**gone)

    @classmethod
    def _seen(cls) -> Traces:
        return cls(
            frozenset(f"{one.name} ({one.ident})" for one in threading.enumerate()),
            frozenset(open_descriptors()),
            frozenset(child_processes()),
            frozenset(files_below(tempfile.gettempdir())),
            frozenset(segments()),
            frozenset(groups()),
        )


def _by_family(**families: Iterable[object]) -> dict[str, list[str]]:
    found = {family: sorted(map(str, those)) for family, those in families.items()}
    return {family: those for family, those in found.items() if those}
