"""`Index`: what a scan of one import path came to, in a form that is read back in a fraction of a millisecond.

It is keyed by the stamps of the directories on the path, so whatever is installed or removed is seen at once. The files
of one distribution (its metadata, its manifest, its package folder) are compared when something asks for a plugin of
it, and all of them when something asks for everything; what no longer fits is examined anew, the rest is kept.

As bytes: a head with the names, one record for each distribution, and a table of them, each with its CRC. Only the head
is read until a record is asked for. All is `marshal`, which an interpreter has at hand; no other version of Python or
of this framework reads it (`tag`). It must not be decoded before `store` has found that nobody else could have written
it.
"""

from __future__ import annotations

import marshal
import os
import struct
import sys
import zlib
from collections import namedtuple

from framework.discovery.fault import Fault
from framework.discovery.stamps import Stamp, settled, stamp
from framework.manifest import Manifest, Permission

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NamedTuple

    from framework.discovery.scan import Row

_MAGIC = b"framework index 2\n"
_HEAD = struct.Struct("<QQQ")
_PART = struct.Struct("<II")
_START = len(_MAGIC) + _HEAD.size
_KERNEL = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SOURCES = (
    "manifest.py",
    "manifest_schema.py",
    "records.py",
    "installed.py",
    "discovery/scan.py",
    "discovery/index.py",
)


BEGINNING = 1 << 16
"""Bytes that hold the head of an index of a thousand plugins, and more."""


class CorruptIndexError(Exception):
    """The bytes are not an index, or not a whole one."""


class ChangedError(Exception):
    """Something on the disk is not as the index says."""


class ReplacedIndexError(CorruptIndexError):
    """Another process has written another index since the beginning of this one was read."""


if TYPE_CHECKING:

    class Group(NamedTuple):
        """What the distributions of one name come to."""

        name: str
        places: tuple[str, ...]
        """Their metadata folders."""
        changed: tuple[int, ...]
        """When those were changed, in ns since the epoch."""
        tops: tuple[tuple[str, str, str], ...]
        """Of each top-level module: its name, the entry of the path that it was found in, and the file's name there."""
        plugins: tuple[str, ...]
        lasting: bool
        """Whether the stamps in the record vouch for it."""
        record: bytes | tuple[int, int]
        """Plugins and faults, what the bundle requires, and the stamps; or from where to where that is in the bytes."""

else:
    Group = namedtuple("Group", "name places changed tops plugins lasting record")  # noqa: PYI024 - see TYPE_CHECKING


def tag() -> tuple[Any, ...]:
    """Return what the writer of an index and its reader must have in common."""
    sources = (stamp(os.path.join(_KERNEL, one)) for one in _SOURCES)
    return sys.implementation.name, sys.version, marshal.version, *sources


class Index:
    """The findings on one import path."""

    def __init__(
        self, path: tuple[str, ...], roots: tuple[Stamp, ...], groups: list[Group] | None, former: Index | None = None
    ) -> None:
        self.path = path
        self.roots = roots
        """The stamp of each entry of the path; None for what is not there, or was not settled when it was read."""
        self.lasting = groups is not None and all(one.lasting for one in groups)
        self._groups = groups
        self._names: dict[str, int] | None = None
        self._bytes, self._base = former.whole() if former else (b"", 0)  # which hold the records that it keeps
        self._rest: Callable[[], bytes] | None = None
        self._table = self._length = 0

    @property
    def names(self) -> dict[str, int]:
        """Of each plugin that can be used, where its record is: a place in the bytes, or the number of its group."""
        if self._names is None:
            self._names = _usable(self.groups)
        return self._names

    @property
    def groups(self) -> list[Group]:
        """All findings, in the order of the path.

        Raises:
            CorruptIndexError: The index was damaged.
        """
        if self._groups is None:
            whole, base = self.whole()
            self._groups = [*map(Group._make, part(whole, base + self._table))]
        return self._groups

    def record(self, group: Group) -> bytes:
        """Return what a group came to, with length and CRC."""
        if isinstance(group.record, bytes):
            return group.record
        start, end = group.record
        return self._bytes[self._base + start : self._base + end]

    @classmethod
    def decode(cls, beginning: bytes, path: tuple[str, ...], rest: Callable[[], bytes]) -> Index | None:
        """Return the index in some bytes, or None where it is one of other versions or of another path.

        Args:
            beginning: At least the first `BEGINNING` bytes, if there are so many.
            path: The entries of the import path.
            rest: Returns all bytes, from the first.

        Raises:
            CorruptIndexError: It is not an index, or not a whole one.
        """
        if not beginning.startswith(_MAGIC) or len(beginning) < _START:
            raise CorruptIndexError
        head, table, length = _HEAD.unpack_from(beginning, len(_MAGIC))
        if head > len(beginning):
            beginning = rest()
        key, entries, roots, lasting, names = part(beginning[:head], _START)
        if key != tag() or entries != path:
            return None
        self = cls(path, roots, None)
        self._names, self.lasting, self._table, self._length = names, lasting, table, length
        self._bytes, self._base, self._rest = beginning[:head], head, rest
        return self

    def whole(self) -> tuple[bytes, int]:
        """Return all bytes, and the end of the head, from which places count.

        Raises:
            CorruptIndexError: It is not a whole index, or not the one that the head is of.
        """
        if self._rest is not None:
            whole = self._rest()
            if not whole.startswith(self._bytes):
                raise ReplacedIndexError
            if len(whole) != self._length:
                raise CorruptIndexError
            self._bytes, self._rest = whole, None
        return self._bytes, self._base

    def encode(self) -> bytes:
        """Return the index as bytes."""
        parts: list[bytes] = []
        table: list[tuple[Any, ...]] = []
        places: dict[int, int] = {}
        end = 0
        for number, one in enumerate(self.groups):
            row = one
            if one.lasting:
                places[number] = end
                parts.append(self.record(one))
                row = one._replace(record=(end, end + len(parts[-1])))
                end = row.record[1]
            table.append((*row,))
        parts.append(framed(table))
        names = {name: places[number] for name, number in self.names.items() if number in places}
        lasting = len(places) == len(table)
        head = framed((tag(), self.path, self.roots, lasting, names))
        length = _START + len(head) + end + len(parts[-1])
        return b"".join([_MAGIC, _HEAD.pack(_START + len(head), end, length), head, *parts])

    def settled(self, now: int) -> Index:
        """Return the part that can be stored: without the stamps of what may still change without a new one.

        Args:
            now: When the scan began, in ns since the epoch.
        """
        groups = [one if one.lasting else one._replace(record=b"") for one in self.groups]
        return Index(self.path, self.settled_roots(now), groups, self)

    def settled_roots(self, now: int) -> tuple[Stamp, ...]:
        """Return the stamps of the path, None for what may still change without a new one."""
        return tuple(one if settled(one, now) else None for one in self.roots)

    def says_the_same(self, other: Index) -> bool:
        """Return whether another index would answer alike."""
        return self.roots == other.roots and self.groups == other.groups

    def current(self) -> bool:
        """Return whether no directory on the path has changed, and nothing must be asked anew every time."""
        return self.lasting and all(
            stamp(entry) == one and (one is not None or not os.path.lexists(entry))
            for entry, one in zip(self.path, self.roots, strict=True)
        )

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest of a usable plugin, or None where something that it was read from has changed.

        Raises:
            CorruptIndexError: The index was damaged.
        """
        place = self.names[name]
        if self._table:
            whole, base = self.whole()
            rows, _, prefix, stamps = part(whole, base + place)
        else:
            rows, _, prefix, stamps = part(self.record(self.groups[place]), 0)
        found = next(one for one in map(_row, rows) if one.name == name)
        return found if isinstance(found, Manifest) and holds(prefix, stamps) else None

    def findings(self, *, compared: bool) -> tuple[list[Row], frozenset[str]]:
        """Return all plugins and faults, and what the bundle requires.

        Args:
            compared: Whether everything is compared with the disk.

        Raises:
            ChangedError: It was compared, and something has changed.
            CorruptIndexError: The index was damaged.
        """
        if compared and not self.current():
            raise ChangedError
        found: list[Row] = []
        bundle: frozenset[str] = frozenset()
        for rows, requires, prefix, stamps in self._parts():
            if compared and not holds(prefix, stamps):
                raise ChangedError
            found += map(_row, rows)
            bundle = bundle if requires is None else frozenset(requires)
        return found, bundle

    def _parts(self) -> Iterator[Any]:
        """Yield the content of all records, those of a file without its table, which would take twice the memory."""
        if self._table:
            whole, base = self.whole()
            place = base
            while place < base + self._table:
                yield part(whole, place)
                place += _PART.size + _PART.unpack_from(whole, place)[0]
        else:
            yield from (part(self.record(one), 0) for one in self.groups if one.record)


def _usable(groups: Iterable[Group]) -> dict[str, int]:
    """Return the number of its group for each plugin whose name no other claims."""
    names: dict[str, int] = {}
    twice: set[str] = set()
    for number, one in enumerate(groups):
        for name in one.plugins:
            if name in names:
                twice.add(name)
            names[name] = number
    for name in twice:
        del names[name]
    return names


def _row(values: tuple[Any, ...]) -> Row:
    if len(values) == len(Fault.__match_args__):
        return Fault(*values)
    permissions = Manifest.__match_args__.index("permissions")
    if values[permissions]:
        given = tuple(Permission(*each) for each in values[permissions])
        values = (*values[:permissions], given, *values[permissions + 1 :])
    return Manifest(*values)


def holds(prefix: str, stamps: Iterable[tuple[str, Stamp]]) -> bool:
    """Return whether nothing has changed; the paths are given without what all begin with."""
    for tail, was in stamps:  # noqa: SIM110 - a generator would cost more than the comparison
        if stamp(prefix + tail) != was:
            return False
    return True


def framed(content: Any) -> bytes:
    """Return a part of an index as bytes, with length and CRC."""
    raw = marshal.dumps(content)
    return _PART.pack(len(raw), zlib.crc32(raw)) + raw


def part(raw: bytes, place: int) -> Any:
    """Return the content of the part of an index that begins at a place.

    Raises:
        CorruptIndexError: The index was damaged.
    """
    if not 0 <= place <= len(raw) - _PART.size:
        raise CorruptIndexError
    length, crc = _PART.unpack_from(raw, place)
    content = raw[place + _PART.size : place + _PART.size + length]
    if len(content) != length or zlib.crc32(content) != crc:
        raise CorruptIndexError
    return marshal.loads(content)  # noqa: S302 - only decoded after `store` has seen the owner
