"""`build`: makes the index of an import path, of what an older one knew as far as that has not changed."""

from __future__ import annotations

import bisect
import os
import sys
from collections.abc import Collection
from typing import Any

from framework.discovery import scan
from framework.discovery.fault import Fault
from framework.discovery.index import Group, Index, framed, holds, part
from framework.discovery.stamps import changed, stamp
from framework.frozen import as_dict
from framework.manifest import Manifest

_COMMON = ("type", "version", "description", "author", "api", "activation", "stability")
"""Texts that many manifests share; they are read back as one object."""


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
    kept = {one.name: one for one in old.groups} if old else {}
    places, touched = _grouped(path, kept, listings)
    before = {
        entry: [listings[each] for each in path[:number] if each in listings] for number, entry in enumerate(path)
    }
    groups = []
    for name, those in places.items():
        one = kept.get(name)
        if (
            old is None
            or one is None
            or name in touched
            or not one.lasting
            or _moved(one.tops, before, listings)
            or (deep and not holds(*part(old.record(one), 0)[2:]))
        ):
            one = _examined(name, those, path, now)
        groups.append(one)
    return Index(path, roots, groups, old)


def _grouped(
    path: tuple[str, ...], kept: dict[str, Group], listings: dict[str, Collection[str]]
) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Return the metadata folders on a path by the name of their distribution, in the order of the path.

    Also returned are the names of the distributions of which a folder is new, gone, or another than it was.
    """
    found = {name: one.places for name, one in kept.items()}
    known = {place: name for name, places in found.items() for place in places}
    there = {
        f"{entry}{os.sep}{one}"
        for entry, listed in listings.items()
        for one in listed
        if one.endswith(scan.METADATA_FOLDERS)
    }
    times = [when for one in kept.values() for when in one.changed]
    others = [place for place, when in zip(known, times, strict=True) if changed(place) != when]
    gone = {place for place in others if place not in there and _entry(place) in listings}
    touched = {known[place] for place in others}
    for place in there - known.keys():
        name = scan.key_of(place)
        touched.add(name)
        found[name] = (*found.get(name, ()), place)
    if not touched:
        return found, touched
    rank = {entry: number for number, entry in enumerate(path)}

    def position(place: str) -> tuple[int, str]:
        return rank[_entry(place)], place

    order = [(name, places) for name, places in found.items() if name not in touched]
    for name in touched:
        if left := tuple(sorted({*found[name]} - gone, key=position)):
            bisect.insort(order, (name, left), key=lambda one: position(one[1][0]))
    return dict(order), touched


def _entry(place: str) -> str:
    """Return the entry of the path that a metadata folder is in."""
    return place.rpartition(os.sep)[0] or os.sep


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
    before = tuple(map(changed, places))
    found = scan.examine([scan.place(one) for one in places], path)
    stamps = found.trail.stamps
    prefix = os.path.commonprefix([*stamps])  # noqa: RUF071 - only to be put before the rest again
    tails = tuple((path.removeprefix(prefix), one) for path, one in stamps.items())
    return Group(
        name,
        places,
        before,
        tuple(found.trail.tops),
        tuple(row.name for row in found.rows if isinstance(row, Manifest)),
        found.trail.settled(now),
        framed((tuple(map(_values, found.rows)), found.bundle, prefix, tails)),
    )


def _values(one: scan.Row) -> tuple[Any, ...]:
    values = as_dict(one)
    if isinstance(one, Fault):
        return tuple(values.values())
    for name in _COMMON:  # which are read back as one object for all
        values[name] = sys.intern(values[name])
    values["provides"] = {sys.intern(key): names for key, names in one.provides.items()}
    values["permissions"] = tuple((each.name, each.reason) for each in one.permissions)
    return tuple(values.values())


def _listed(entry: str) -> Collection[str]:
    try:
        return frozenset(os.listdir(entry))
    except OSError:
        return ()  # the import system skips what it cannot list, and so do we
