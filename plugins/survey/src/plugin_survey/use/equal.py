"""Finds files of equal content in a catalogue.

The groups lie in SQLite's own temporary file, and a group of very many files is read again each time that one goes
through it, so that memory does not grow with the number of duplicates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any

from plugin_survey.duplicates import HELD
from plugin_survey.use.choice import BELOW, Chosen
from plugin_survey.use.copy import Copy, Equal, is_left_over
from plugin_survey.use.reader import damaged, explained

_MAKE = "CREATE TEMP TABLE equal (size INTEGER NOT NULL, digest BLOB NOT NULL, files INTEGER NOT NULL)"
_FILL = f"""
INSERT INTO equal
WITH chosen AS (SELECT * FROM file WHERE size >= :least AND {BELOW})
SELECT size, digest, COUNT(*) FROM (
    SELECT size, digest, MIN(path) AS first FROM chosen JOIN
        (SELECT size, digest FROM chosen GROUP BY size, digest HAVING COUNT(*) > 1) USING (size, digest)
    GROUP BY size, digest, device, inode
) GROUP BY size, digest HAVING COUNT(*) > 1 ORDER BY size * (COUNT(*) - 1) DESC, MIN(first)
"""  # noqa: S608 - made of constants
_NAMES = f"""
SELECT path, device, inode, mtime_ns, ctime_ns FROM file WHERE size = :size AND digest = :digest AND {BELOW}
ORDER BY path
"""  # noqa: S608 - made of constants
_SORTED = f"""
SELECT path, device, inode, mtime_ns, ctime_ns, MIN(path) OVER (PARTITION BY device, inode) AS first FROM file
WHERE size = :size AND digest = :digest AND {BELOW} ORDER BY first, path
"""  # noqa: S608 - made of constants
_Row = tuple[bytes, int, int, int, int]


class EqualFiles(Collection[Equal]):
    """The groups of equal files of a catalogue, the most wasteful first.

    Args:
        chosen: The catalogue, which stays open meanwhile, and what of it is meant.
        min_size: Bytes of the smallest file that counts.

    Raises:
        ResourceError: The catalogue is damaged, now or while one goes through them.
        ResourceUnavailableError: The disk for temporary files is full.
    """

    def __init__(self, chosen: Chosen, min_size: int) -> None:
        self._chosen = chosen
        with explained(chosen.reader.path):
            chosen.reader.database.execute(_MAKE)
            chosen.reader.database.execute(_FILL, {**chosen.limits, "least": min_size})

    @property
    def wasted(self) -> int:
        """Bytes that would be saved if one file of each group were kept."""
        return sum(size * (files - 1) for size, files in self._chosen.reader.rows("SELECT size, files FROM equal"))

    def __len__(self) -> int:
        return int(self._chosen.reader.value("SELECT COUNT(*) FROM equal"))

    def __contains__(self, group: object) -> bool:
        return any(one == group for one in self)

    def __iter__(self) -> Iterator[Equal]:
        for size, digest, files in self._chosen.reader.rows("SELECT size, digest, files FROM equal ORDER BY rowid"):
            copies = _Copies(self._chosen, size, digest, files)
            yield Equal(size, digest, copies if files > HELD else tuple(copies))


class _Copies(Collection[Copy]):
    """The files of one group."""

    def __init__(self, chosen: Chosen, size: int, digest: bytes, files: int) -> None:
        self._chosen = chosen
        self._size = size
        self._digest = digest
        self._files = files

    def __len__(self) -> int:
        return self._files

    def __contains__(self, copy: object) -> bool:
        return any(one == copy for one in self)

    def __iter__(self) -> Iterator[Copy]:
        count = 0
        for names in self._sorted() if self._files > HELD else self._held():
            count += 1
            yield self._copy(names)
        if count != self._files:
            raise damaged(self._chosen.reader.path, "its index contradicts its files")

    def _held(self) -> Iterable[list[_Row]]:
        files: dict[tuple[int, int], list[_Row]] = {}
        for row in self._rows(_NAMES):
            files.setdefault(row[1:3], []).append(row)
        return files.values()

    def _sorted(self) -> Iterator[list[_Row]]:
        for _, names in groupby(self._rows(_SORTED), key=lambda row: row[5]):
            yield [row[:5] for row in names]

    def _rows(self, query: str) -> Iterator[Any]:
        return self._chosen.reader.rows(query, {**self._chosen.limits, "size": self._size, "digest": self._digest})

    def _copy(self, names: list[_Row]) -> Copy:
        _, device, inode, mtime_ns, ctime_ns = names[0]
        # last what somebody left who was killed at his work: it is about to go, so nothing may rely on it
        paths = sorted((row[0] for row in names), key=is_left_over)
        return Copy(tuple(paths), self._size, device, inode, mtime_ns, ctime_ns)
