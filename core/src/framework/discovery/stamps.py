"""What is remembered of a file to know later that it is still the same, and the trail of those that were looked at."""

from __future__ import annotations

import os
import struct

RACY = 2_000_000_000
"""Nanoseconds in which a file may change again without a new time stamp, on file systems with coarse clocks."""

Stamp = bytes | None
"""Device, inode, size, time of modification and of change in ns; None where nothing is there or may be asked."""

_STAMP = struct.Struct("<QQqqq")  # as bytes they take a third of the memory, and are read in one piece


def stamp(path: str) -> Stamp:
    """Return the stamp of whatever a path leads to now."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return _STAMP.pack(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def changed(path: str) -> int:
    """Return when what a path leads to was changed, in ns since the epoch, or 0 where nothing is there.

    It tells a folder from another that was put in its place, at half the cost of a stamp.
    """
    try:
        return os.stat(path).st_ctime_ns
    except (OSError, ValueError):
        return 0


def settled(one: Stamp, now: int) -> bool:
    """Return whether any change after `now`, in ns since the epoch, is sure to give another stamp.

    The time of change decides: no program can set it, and no modification leaves it as it was.
    """
    return one is None or _STAMP.unpack(one)[4] < now - RACY


class Trail:
    """The stamps of everything that was looked at, each taken before the look."""

    def __init__(self) -> None:
        self.stamps: dict[str, Stamp] = {}
        self.tops: list[tuple[str, str, str]] = []
        """Of each top-level module sought: its name, the entry of the path with it, and the file's name there."""
        self.lasting = True
        """False where something was asked that has no stamp."""

    def add(self, path: str) -> str:
        """Take the stamp of a path, the first time, and return the path."""
        if path not in self.stamps:
            self.stamps[path] = stamp(path)
        return path

    def settled(self, now: int) -> bool:
        """Return whether nothing that was looked at can have changed since without a new stamp."""
        return self.lasting and all(settled(one, now) for one in self.stamps.values())
