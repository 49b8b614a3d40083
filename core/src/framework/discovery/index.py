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
from framework.frozen import as_dict

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any, NamedTuple

    from framework.manifest import Manifest

_MAGIC = b"framework index 1\n"
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


class ReplacedIndexError(CorruptIndexError):
    """Another process has written another index since the beginning of this one was read."""


if TYPE_CHECKING:

    class Group(NamedTuple):
        """What the distributions of one name come to."""

        name: str
        places: tuple[str, ...]
        """Their metadata folders."""
        tops: tuple[tuple[str, str, str], ...]
        """Of each top-level module: its name, the entry of the path that it was found in, and the file's name there."""
        rows: tuple[tuple[str, ...], ...]
        """Name and distribution of each plugin, and the reason if it is a fault."""
        bundle: tuple[str, ...] | None
        lasting: bool
        """Whether the stamps in the record vouch for it."""
        record: bytes
        """The manifests, and the stamps of everything that was looked at, with length and CRC."""

else:
    Group = namedtuple("Group", "name places tops rows bundle lasting record")  # noqa: PYI024 - see TYPE_CHECKING


def tag() -> tuple[Any, ...]:
    """Return what the writer of an index and its reader must have in common."""
    sources = (stamp(os.path.join(_KERNEL, one)) for one in _SOURCES)
    return sys.implementation.name, sys.version, marshal.version, *sources


class Index:
    """The findings on one import path."""

    def __init__(self, path: tuple[str, ...], roots: tuple[Stamp, ...], groups: list[Group] | None) -> None:
        self.path = path
        self.roots = roots
        """The stamp of each entry of the path; None for what is not there, or was not settled when it was read."""
        self.lasting = groups is not None and all(one.lasting for one in groups)
        self._groups = groups
        self._names: dict[str, int] | None = None
        self._beginning = b""
        self._rest: Callable[[], bytes] | None = None
        self._body = b""
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
            body = self._read()
            base = len(self._beginning)
            rows = _part(body, base + self._table)
            self._groups = [Group._make((*one[:-2], body[base + one[-2] : base + one[-1]])) for one in rows]
        return self._groups

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
        key, entries, roots, lasting, names = _part(beginning[:head], _START)
        if key != tag() or entries != path:
            return None
        self = cls(path, roots, None)
        self._names, self.lasting, self._table, self._length = names, lasting, table, length
        self._beginning, self._rest = beginning[:head], rest
        return self

    def _read(self) -> bytes:
        """Return all bytes; places count from the end of the head."""
        if self._rest is not None:
            whole = self._rest()
            if not whole.startswith(self._beginning):
                raise ReplacedIndexError
            if len(whole) != self._length:
                raise CorruptIndexError
            self._body, self._rest = whole, None
        return self._body

    def encode(self) -> bytes:
        """Return the index as bytes."""
        parts: list[bytes] = []
        table: list[tuple[Any, ...]] = []
        places: dict[int, int] = {}
        end = 0
        for number, one in enumerate(self.groups):
            start = end
            if one.lasting:
                places[number] = start
                parts.append(one.record)
                end += len(one.record)
            table.append((*one[:-1], start, end))
        parts.append(_framed(marshal.dumps(table)))
        names = {name: places[number] for name, number in self.names.items() if number in places}
        lasting = len(places) == len(table)
        head = _framed(marshal.dumps((tag(), self.path, self.roots, lasting, names)))
        length = _START + len(head) + end + len(parts[-1])
        return b"".join([_MAGIC, _HEAD.pack(_START + len(head), end, length), head, *parts])

    def settled(self, now: int) -> Index:
        """Return the part that can be stored: without the stamps of what may still change without a new one.

        Args:
            now: When the scan began, in ns since the epoch.
        """
        groups = [one if one.lasting else one._replace(record=b"") for one in self.groups]
        return Index(self.path, self.settled_roots(now), groups)

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
        decoded = self._table or self._rest is not None
        rows, stamps = (
            _part(self._read(), len(self._beginning) + place) if decoded else _part(self.groups[place].record, 0)
        )
        return next((_manifest(row) for row in rows if row[0] == name), None) if _hold(stamps) else None

    def fresh(self) -> list[list[Manifest]] | None:
        """Return the plugins of each group, or None where anything that was looked at has changed.

        Raises:
            CorruptIndexError: The index was damaged.
        """
        if not self.current():
            return None
        found = []
        for one in self.groups:
            rows, stamps = _part(one.record, 0)
            if not _hold(stamps):
                return None
            found.append([_manifest(row) for row in rows])
        return found


def manifests(group: Group) -> list[Manifest]:
    """Return the plugins of a group.

    Raises:
        CorruptIndexError: The index was damaged.
    """
    return [_manifest(row) for row in _part(group.record, 0)[0]]


def build(path: tuple[str, ...], old: Index | None, now: int, *, deep: bool) -> Index | None:
    """Return the index of a path, or None where an entry is not a folder, as an archive is not.

    Args:
        path: Absolute entries of the import path.
        old: An index of the same path, of which everything is kept that has not changed.
        now: When it began, in ns since the epoch.
        deep: Whether every file is compared, and not just the entries of folders that changed.
    """
    roots = tuple(map(stamp, path))
    listings: dict[str, Collection[str]] = {}
    for number, entry in enumerate(path):
        if old is None or old.roots[number] is None or old.roots[number] != roots[number]:
            if roots[number] is not None and not os.path.isdir(entry):
                return None
            listings[entry] = _listed(entry)
    kept = {one.places: one for one in old.groups} if old else {}
    before = {
        entry: [listings[each] for each in path[:number] if each in listings] for number, entry in enumerate(path)
    }
    groups = []
    for name, places in _grouped(path, kept, listings).items():
        one = kept.get(places)
        if (
            one is None
            or not one.lasting
            or _moved(one.tops, before, listings)
            or (deep and not _hold(_part(one.record, 0)[1]))
        ):
            one = _examined(name, places, path, now)
        groups.append(one)
    return Index(path, roots, groups)


def _usable(groups: Iterable[Group]) -> dict[str, int]:
    """Return the number of its group for each plugin whose name no other claims."""
    names: dict[str, int] = {}
    twice: set[str] = set()
    for number, one in enumerate(groups):
        for row in one.rows:
            if len(row) == 2:
                if row[0] in names:
                    twice.add(row[0])
                names[row[0]] = number
    for name in twice:
        del names[name]
    return names


def _grouped(
    path: tuple[str, ...], kept: dict[tuple[str, ...], Group], listings: dict[str, Collection[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the metadata folders on a path by the name of their distribution, in the order of the path."""
    from framework.discovery import scan

    names = {place: one.name for one in kept.values() for place in one.places}
    folders: dict[str, list[str]] = {entry: [] for entry in path}
    for entry, listed in listings.items():
        folders[entry] = [f"{entry}{os.sep}{one}" for one in listed if one.endswith(scan.METADATA_FOLDERS)]
    for place in names if len(listings) < len(path) else ():
        if (entry := place.rpartition(os.sep)[0] or os.sep) not in listings:
            folders[entry].append(place)
    groups: dict[str, tuple[str, ...]] = {}
    for places in folders.values():
        for place in sorted(places):
            name = names.get(place) or scan.key_of(place)
            groups[name] = (*groups[name], place) if name in groups else (place,)
    return groups


def _moved(
    tops: tuple[tuple[str, str, str], ...],
    before: dict[str, list[Collection[str]]],
    listings: dict[str, Collection[str]],
) -> bool:
    """Return whether a module may be found elsewhere than it was, going by the folders that changed."""
    for top, home, file in tops:
        there = listings.get(home)
        if there is not None and (file not in there or (file != top and top in there)):
            return True
        for names in before[home]:
            if top in names or f"{top}.py" in names:
                return True
    return False


def _examined(name: str, places: tuple[str, ...], path: tuple[str, ...], now: int) -> Group:
    from framework.discovery import scan

    found = scan.examine([scan.place(one) for one in places], path)
    rows: list[tuple[str, ...]] = []
    values = []
    for row in found.rows:
        if isinstance(row, Fault):
            rows.append((row.name, row.distribution, row.reason))
        else:
            rows.append((row.name, row.distribution))
            values.append(_values(row))
    return Group(
        name,
        places,
        tuple(found.trail.tops),
        tuple(rows),
        found.bundle,
        found.trail.settled(now),
        _framed(marshal.dumps((values, tuple(found.trail.stamps.items())))),
    )


def _values(one: Manifest) -> tuple[Any, ...]:
    values = as_dict(one)
    values["provides"] = dict(one.provides)
    values["permissions"] = tuple((each.name, each.reason) for each in one.permissions)
    return tuple(values.values())


def _manifest(values: tuple[Any, ...]) -> Manifest:
    from framework.manifest import Manifest, Permission

    permissions = Manifest.__match_args__.index("permissions")
    if values[permissions]:
        given = tuple(Permission(*each) for each in values[permissions])
        values = (*values[:permissions], given, *values[permissions + 1 :])
    return Manifest(*values)


def _listed(entry: str) -> Collection[str]:
    try:
        return frozenset(os.listdir(entry))
    except OSError:
        return ()  # the import system skips what it cannot list, and so do we


def _hold(stamps: Iterable[tuple[str, Stamp]]) -> bool:
    for path, was in stamps:  # noqa: SIM110 - a generator would cost more than the comparison
        if stamp(path) != was:
            return False
    return True


def _framed(part: bytes) -> bytes:
    return _PART.pack(len(part), zlib.crc32(part)) + part


def _part(raw: bytes, place: int) -> Any:
    if not 0 <= place <= len(raw) - _PART.size:
        raise CorruptIndexError
    length, crc = _PART.unpack_from(raw, place)
    part = raw[place + _PART.size : place + _PART.size + length]
    if len(part) != length or zlib.crc32(part) != crc:
        raise CorruptIndexError
    return marshal.loads(part)  # noqa: S302 - only decoded after `store` has seen the owner
