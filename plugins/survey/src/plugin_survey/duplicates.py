"""Groups of files with equal content.

Files are equal when size and SHA-256 are. Names of one inode (hard links) are one file: they make no group on their
own and waste nothing, as in fdupes, jdupes and rdfind by default. Empty files count from `min_size` 0 on only, as in
rdfind and jdupes; fdupes lists them.

Of each group no more is kept than a few numbers, and its files are read from the catalogue when they are asked for: a
tree of a million equal files must not take more memory than one of ten.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from plugin_survey.cataloguing.catalogue import CatalogueDamagedError

HELD = 4096
"""Files of a group up to which they are read at once, which is faster."""

_GROUPS = """
SELECT MIN(id), size, COUNT(*) FROM (
    SELECT MIN(file.id) AS id, file.size AS size, file.digest AS digest, MIN(path) AS first FROM file
    JOIN (SELECT size, digest FROM file WHERE size >= ? GROUP BY size, digest HAVING COUNT(*) > 1) AS twin
        ON file.size = twin.size AND file.digest = twin.digest
    GROUP BY file.size, file.digest, device, inode
) GROUP BY size, digest HAVING COUNT(*) > 1 ORDER BY size * (COUNT(*) - 1) DESC, MIN(first)
"""
_DIGEST = "SELECT digest FROM file WHERE id = ?"
_NAMES = "SELECT path, device, inode FROM file WHERE size = ? AND digest = ? ORDER BY path"
_SORTED = """
SELECT path, MIN(path) OVER (PARTITION BY device, inode) AS first FROM file
WHERE size = ? AND digest = ? ORDER BY first, path
"""


class DuplicateGroup(NamedTuple):
    """Files of equal content: for each file its names, sorted; files sorted by first name."""

    size: int
    digest: bytes
    files: Collection[tuple[bytes, ...]]

    @property
    def wasted(self) -> int:
        """Bytes that would be saved if one file were kept."""
        return self.size * (len(self.files) - 1)


@dataclass(frozen=True, slots=True)
class GroupIndex:
    """The groups of a catalogue, the most wasteful first: the id of a file of each, its size, and how many files."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.ids)


def index_groups(database: sqlite3.Connection, min_size: int) -> GroupIndex:
    """Return which groups there are among the files of at least so many bytes.

    Raises:
        sqlite3.Error: The catalogue cannot be read.
    """
    index = GroupIndex()
    for number, size, count in database.execute(_GROUPS, (min_size,)):
        index.ids.append(number)
        index.sizes.append(size)
        index.counts.append(count)
    return index


class Groups(Collection[DuplicateGroup]):
    """The groups of a catalogue, read from it each time that one goes through them.

    Args:
        database: The catalogue, which stays open meanwhile.
        index: Which there are.
    """

    def __init__(self, database: sqlite3.Connection, index: GroupIndex) -> None:
        self._database = database
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, group: object) -> bool:
        return any(one == group for one in self)

    def __iter__(self) -> Iterator[DuplicateGroup]:
        """Yield each group, the most wasteful one first.

        Raises:
            sqlite3.Error: The catalogue cannot be read.
            CatalogueDamagedError: Its index contradicts its files.
        """
        for number, size, count in zip(self._index.ids, self._index.sizes, self._index.counts, strict=True):
            found = self._database.execute(_DIGEST, (number,)).fetchone()
            if found is None:
                raise _lacking(self._database)
            yield DuplicateGroup(size, found[0], _Files(self._database, size, found[0], count))


class _Files(Collection[tuple[bytes, ...]]):
    """The files of one group."""

    def __init__(self, database: sqlite3.Connection, size: int, digest: bytes, count: int) -> None:
        self._database = database
        self._content = (size, digest)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __contains__(self, names: object) -> bool:
        return any(one == names for one in self)

    def __iter__(self) -> Iterator[tuple[bytes, ...]]:
        count = 0
        for names in self._held() if self._count <= HELD else self._sorted():
            count += 1
            yield names
        if count != self._count:
            raise _lacking(self._database)

    def _sorted(self) -> Iterator[tuple[bytes, ...]]:
        rows = self._database.execute(_SORTED, self._content)
        for _, names in groupby(rows, key=lambda row: row[1]):
            yield tuple(path for path, _ in names)

    def _held(self) -> Iterator[tuple[bytes, ...]]:
        found: dict[tuple[int, int], list[bytes]] = {}
        for path, device, inode in self._database.execute(_NAMES, self._content):
            found.setdefault((device, inode), []).append(path)
        return map(tuple, found.values())


def _lacking(database: sqlite3.Connection) -> CatalogueDamagedError:
    (_, _, path), *_ = database.execute("PRAGMA database_list")
    return CatalogueDamagedError(path, "its index contradicts its files")
