"""`Traces`: what a process holds at one moment, so that two moments can be compared."""

from __future__ import annotations

import gc
import glob
import os
import tempfile
import threading
import time
from dataclasses import dataclass

PATIENCE_S = 2.0
"""How long what is about to vanish, as a thread that has just been told to end, may take."""


def open_descriptors() -> set[str]:
    """Return the open file descriptors of this process, each with what it leads to; empty where that cannot be read."""
    found: set[str] = set()
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for number in numbers:
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue  # the descriptor of the listing itself
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


def temporary_files() -> set[str]:
    """Return the names in the folder for temporary files."""
    try:
        return set(os.listdir(tempfile.gettempdir()))
    except OSError:
        return set()


@dataclass(frozen=True, slots=True)
class Traces:
    """Threads, descriptors, child processes and temporary files of this process at one moment."""

    threads: frozenset[str]
    descriptors: frozenset[str]
    children: frozenset[int]
    files: frozenset[str]

    @classmethod
    def now(cls) -> Traces:
        """Return what there is now, after what nobody refers to any more has been collected."""
        gc.collect()
        return cls(
            frozenset(f"{one.name} ({one.ident})" for one in threading.enumerate()),
            frozenset(open_descriptors()),
            frozenset(child_processes()),
            frozenset(temporary_files()),
        )

    def left(self) -> dict[str, list[str]]:
        """Return what there is now and was not then, by family; what is just going is waited for."""
        deadline = time.monotonic() + PATIENCE_S
        found = self._added()
        while found and time.monotonic() < deadline:
            time.sleep(0.01)
            found = self._added()
        return found

    def _added(self) -> dict[str, list[str]]:
        later = Traces.now()
        families = {
            "threads": later.threads - self.threads,
            "descriptors": later.descriptors - self.descriptors,
            "children": later.children - self.children,
            "files": later.files - self.files,
        }
        return {family: sorted(map(str, added)) for family, added in families.items() if added}
