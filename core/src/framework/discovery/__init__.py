"""Finds what is installed without importing it: entry points, then manifests, and every fault as a row of its own.

`scan` reads the disk. `building` makes of it an `index`, and `store` keeps that safe, so that the next interpreter is
told in a fraction of a millisecond. Looking at one plugin compares the few files that it was read from; looking at all
of them, or at the faults, compares all. `FRAMEWORK_NO_INDEX=1` turns the index off.
"""

from __future__ import annotations

import os
import sys
import time

from framework.discovery import store
from framework.discovery.fault import Fault
from framework.discovery.found import Discovery, Remembered
from framework.discovery.index import BEGINNING, ChangedError, CorruptIndexError, Index, ReplacedIndexError
from framework.discovery.stamps import Stamp

TYPE_CHECKING = False  # which type checkers take for true; importing typing for it would cost 8 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from framework.discovery.scan import BUNDLE, GROUP, MODULE_PREFIX, Row, modules_in

__all__ = [
    "BUNDLE",
    "GROUP",
    "MODULE_PREFIX",
    "SWITCH",
    "Discovery",
    "Fault",
    "Refreshed",
    "discover",
    "modules_in",
    "refresh",
]

SWITCH = "FRAMEWORK_NO_INDEX"
"""Environment variable that turns the index off when it is not empty."""

_OF_SCAN = {"BUNDLE", "GROUP", "MODULE_PREFIX", "modules_in"}


def __getattr__(name: str) -> Any:
    if name not in _OF_SCAN:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from framework.discovery import scan  # see `_built`

    return getattr(scan, name)


class Refreshed:
    """The outcome of `refresh`."""

    def __init__(self, found: Discovery, file: str, changes: dict[str, str]) -> None:
        self.found = found
        self.file = file
        """The index, or empty where none could be written."""
        self.changes = changes
        """`added`, `removed` or `changed` by the name of the plugin, against the index that was there."""


def discover(
    path: Sequence[str] | None = None,
    folders: Iterable[str] = (),
    *,
    index: bool | None = None,
    cache: str | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Discovery:
    """Return every plugin on the import path and in the folders given.

    Args:
        path: The import path to scan; `sys.path` when none is given.
        folders: Folders whose modules named `plugin_*` are plugins.
        index: Whether an index is used and kept; by default for `sys.path`, unless `FRAMEWORK_NO_INDEX` is set.
        cache: The folder of indexes; by default `framework/discovery` below `$XDG_CACHE_HOME`.
        clock: Nanoseconds since the epoch, which tells what may still change without a new time stamp.
    """
    entries = _absolute(sys.path if path is None else path)
    wanted = (path is None and not os.environ.get(SWITCH)) if index is None else index
    found = _Cache(entries, cache, clock).discover() if wanted else _scanned(entries)
    rows = [row for folder in folders for row in _in_folder(folder)]
    if rows:
        found = found.whole() if isinstance(found, Remembered) else found
        for row in rows:
            found.admit(row)
    return found


def refresh(path: Sequence[str] | None = None, *, cache: str | None = None) -> Refreshed:
    """Forget the index of an import path, read everything anew, and return what is different.

    Args:
        path: The import path; `sys.path` when none is given.
        cache: The folder of indexes; by default `framework/discovery` below `$XDG_CACHE_HOME`.
    """
    kept = _Cache(_absolute(sys.path if path is None else path), cache, time.time_ns)
    old = kept.load()
    rows = old.findings(compared=False)[0] if old else []
    before = {one.name: one for one in rows if not isinstance(one, Fault)}
    found = kept.renew(None)
    after = found.manifests
    changes = dict.fromkeys(before.keys() - after.keys(), "removed")
    changes |= dict.fromkeys(after.keys() - before.keys(), "added")
    changes |= {name: "changed" for name in before.keys() & after.keys() if before[name] != after[name]}
    return Refreshed(found, kept.written, dict(sorted(changes.items())))


class _Cache:
    """The index of one import path in its folder."""

    def __init__(self, path: tuple[str, ...], folder: str | None, clock: Callable[[], int]) -> None:
        self.path = path
        self.folder = store.folder() if folder is None else folder
        self.file = store.name(path)
        self.clock = clock
        self.reasons: list[str] = []
        self.written = ""

    def discover(self) -> Discovery:
        old = self.load()
        if old is not None and old.current():
            return Remembered(old, self._compared)
        built = self._built(old, deep=False)
        return _scanned(self.path, self.reasons) if built is None else Remembered(built, self._compared)

    def load(self) -> Index | None:
        try:
            beginning = store.load(self.folder, self.file, BEGINNING)
            old = None if beginning is None else Index.decode(beginning, self.path, self._whole_file)
            if old is not None and not old.current():
                _ = old.groups  # which are going to be used, and may be damaged
        except store.UnsafeIndexError as error:
            self.reasons.append(str(error))
            return None
        except (CorruptIndexError, EOFError, ValueError, TypeError) as error:
            self._say_damaged(error)
            return None
        return old

    def renew(self, old: Index | None) -> Discovery:
        try:
            built = self._built(old, deep=True)
        except CorruptIndexError as error:
            self._say_damaged(error)
            built = self._built(None, deep=True)
        if built is None:
            return _scanned(self.path, self.reasons)
        return _told(built.findings(compared=False), self.reasons)

    def _compared(self, index: Index) -> Discovery:
        try:
            return _told(index.findings(compared=True), self.reasons)
        except ChangedError:
            return self.renew(index)
        except CorruptIndexError as error:
            self._say_damaged(error)
            return self.renew(None)

    def _whole_file(self) -> bytes:
        try:
            return store.load(self.folder, self.file) or b""
        except store.UnsafeIndexError:
            return b""

    def _say_damaged(self, error: Exception) -> None:
        if isinstance(error, ReplacedIndexError):  # by another process, which is its right
            return
        self.reasons.append(f"The index {os.path.join(self.folder, self.file)} is damaged; it is written anew.")

    def _built(self, old: Index | None, *, deep: bool) -> Index | None:
        from framework.discovery.building import build  # and so `scan`: 15 ms, which an index that fits spares

        now = self.clock()
        built = build(self.path, old, now, deep=deep)
        if built is None:
            return None
        if old is not None and _hasty(old.roots, built.settled_roots(now), built.roots):
            return built
        kept = built.settled(now)
        if old is None or not kept.says_the_same(old):
            try:
                if store.save(self.folder, self.file, kept.encode()):
                    self.written = os.path.join(self.folder, self.file)
            except store.UnsafeIndexError as error:
                self.reasons.append(str(error))
        return built


def _hasty(old: tuple[Stamp, ...], kept: tuple[Stamp, ...], built: tuple[Stamp, ...]) -> bool:
    """Return whether only folders differ that still may change unseen, so that it would be written again at once."""
    roots = list(zip(old, kept, built, strict=True))
    unsettled = any(was is not None and one is None and now is not None for was, one, now in roots)
    return unsettled and not any(one is not None and one != was for was, one, _ in roots)


def _told(findings: tuple[Iterable[Row], frozenset[str]], reasons: Iterable[str]) -> Discovery:
    """Return everything that an index says."""
    rows, bundle = findings
    found = Discovery(bundle=bundle)
    for row in rows:
        found.admit(row)
    _add_reasons(found, reasons)
    return found


def _scanned(path: Sequence[str], reasons: Iterable[str] = ()) -> Discovery:
    """Return everything on a path, read anew."""
    from framework.discovery import scan

    found = Discovery()
    for group in scan.groups(path):
        one = scan.examine(group, path)
        found.bundle = found.bundle if one.bundle is None else frozenset(one.bundle)
        for row in one.rows:
            found.admit(row)
    _add_reasons(found, reasons)
    return found


def _add_reasons(found: Discovery, reasons: Iterable[str]) -> None:
    found.faults += [Fault("? discovery index", "", reason) for reason in dict.fromkeys(reasons)]


def _in_folder(folder: str) -> Iterable[Any]:
    from framework.discovery.scan import in_folder

    return in_folder(folder)


def _absolute(path: Sequence[str]) -> tuple[str, ...]:
    """Return the entries of an import path, each once, none relative to where the program happens to be."""
    entries: dict[str, None] = {}
    for entry in path:
        if os.path.isabs(entry):
            entries[entry] = None
        else:
            try:
                entries[os.path.join(os.getcwd(), entry).rstrip(os.sep)] = None
            except OSError:  # the folder that we are in is gone, and the import system finds nothing there either
                continue
    return tuple(entries)
