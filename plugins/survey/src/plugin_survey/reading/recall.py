"""`Recall`: tells which files a catalogue knows already, so that they need not be read again.

A file is the one that was read if its size, its times of modification and of change, its device and its inode are the
same. Programs cannot set the time of change, and each write moves it, so a file that is changed and then given its
former time of modification is read again. One that has only moved to another folder is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from plugin_survey.cataloguing.catalogue import INSERT_FILE, MOST, Catalogue, nearest, signed
from plugin_survey.reading.fingerprint import Identity

_MET = """
CREATE TEMP TABLE met (
    path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL
)
"""
_JOIN = """
FROM met JOIN file ON file.device = met.device AND file.inode = met.inode AND file.size = met.size
    AND file.mtime_ns = met.mtime_ns AND file.ctime_ns = met.ctime_ns
WHERE file.id <= ?
"""
_SAME = f"SELECT met.rowid - 1, file.id {_JOIN} AND file.path = met.path"
_MOVED = f"SELECT met.rowid - 1, file.path, file.digest, file.kind, file.run {_JOIN} AND file.path <> met.path"

Met = tuple[bytes, int, int, int, int, int]
"""Path, size in bytes, times of modification and of change in nanoseconds, device, inode."""


class Recalled(NamedTuple):
    """What became of some paths: those that must be read, and how many, with how many bytes, need not be."""

    unknown: list[bytes]
    files: int
    bytes: int


class Recall:
    """Compares files with what a catalogue had in it when it was opened.

    Args:
        catalogue: The catalogue; what is recalled is marked there as met.
        own: Files to leave to the fingerprint, which passes over them.
    """

    def __init__(self, catalogue: Catalogue, own: frozenset[Identity] = frozenset()) -> None:
        self._catalogue = catalogue
        self._own = own
        with catalogue.guarded() as database:
            database.execute(_MET)

    def recall(self, paths: Sequence[bytes]) -> Recalled:
        """Look at each path, and keep what is known of those that have not changed.

        Raises:
            ResourceUnavailableError: The catalogue cannot be read or written.
        """
        met: list[Met] = []
        unknown = []
        for path in paths:
            found = _met(path, self._own)
            if found is None:
                unknown.append(path)
            else:
                met.append(found)
        known = self._known(met) if met else set()
        unknown += [one[0] for place, one in enumerate(met) if place not in known]
        return Recalled(unknown, len(known), sum(met[place][1] for place in known))

    def _known(self, met: list[Met]) -> set[int]:
        """Return the places of those that are known, having marked them as met."""
        with self._catalogue.guarded() as database:
            database.execute("DELETE FROM met")
            database.executemany("INSERT INTO met VALUES (?, ?, ?, ?, ?, ?)", met)
            former = (self._catalogue.former,)
            places = set()
            for place, number in database.execute(_SAME, former):
                places.add(place)
                self._catalogue.seen[number] = 1
            if len(places) < len(met):
                moved = {
                    place: (*met[place], *known)
                    for place, path, *known in database.execute(_MOVED, former)
                    if place not in places and os.path.basename(path) == os.path.basename(met[place][0])
                }
                database.executemany(INSERT_FILE, moved.values())
                places |= moved.keys()
        return places


def _met(path: bytes, own: frozenset[Identity]) -> Met | None:
    """Return what the system says of a path, or None where the fingerprint is to find out what it is."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or (found.st_dev, found.st_ino) in own:
        return None
    mtime_ns, ctime_ns, inode = found.st_mtime_ns, found.st_ctime_ns, found.st_ino
    if not -MOST <= mtime_ns < MOST > inode:
        mtime_ns, inode = nearest(mtime_ns), signed(inode)
    return (path, found.st_size, mtime_ns, ctime_ns, found.st_dev, inode)
