"""Which journals there are, and whose processes are dead.

A process is alive as long as its journal is locked, stopped or not, in whichever namespace. Where a lock is held though
the process is certainly gone, a child holds it that was forked behind Python's back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator

from framework import journal
from framework.journal import Content, Entry
from framework.records import JournalRecord

_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # a struct flock of Linux

LIVE, DEAD, DAMAGED = "live", "dead", "damaged"


def listed(directory: str) -> list[str]:
    """Return the paths of the journals in a directory; none where there is no directory, or it is not ours alone."""
    return [os.path.join(directory, name) for name in _names(directory) if name[0] != "."]


def tidy(directory: str) -> None:
    """Remove files that were to become journals, and whose process died before they did."""
    for name in _names(directory):
        if name[0] == ".":
            path = os.path.join(directory, name)
            descriptor = _opened(path, os.O_RDONLY)
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    if _locked(descriptor):
                        os.unlink(path)
                os.close(descriptor)


def _names(directory: str) -> list[str]:
    try:
        found = os.stat(directory)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return []
        return sorted(name for name in os.listdir(directory) if journal.SUFFIX in name)
    except OSError:
        return []


@contextlib.contextmanager
def of_dead(path: str) -> Iterator[tuple[int, Content] | None]:
    """Give the open journal of a process that is dead, locked for as long as it is looked at; nothing for any other.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = _opened(path, os.O_RDWR | os.O_APPEND)
    if descriptor is None:
        yield None
        return
    try:
        dead = (_locked(descriptor) or _inherited(descriptor)) and _alone(descriptor)
        # somebody else may have been faster, and have removed it
        yield (descriptor, journal.read(descriptor)) if dead and _in_place(descriptor, path) else None
    finally:
        os.close(descriptor)


def held(directory: str) -> list[JournalRecord]:
    """Return every lease of every process of this user that keeps a journal, without changing anything."""
    return [record for path in listed(directory) for record in _records(path)]


def _records(path: str) -> Iterator[JournalRecord]:
    descriptor = _opened(path, os.O_RDONLY)
    if descriptor is None:
        return
    try:
        content = journal.read(descriptor)
        state = _state(descriptor, content)
        if not _in_place(descriptor, path):  # written anew meanwhile, or removed
            yield from _records(path)
            return
    except OSError as error:
        state, content = DAMAGED, Content(None, {}, 0, damaged=True)
        reason = f"its journal cannot be read: {error.strerror}"
    else:
        reason = "its journal cannot be read"
    finally:
        os.close(descriptor)
    if state == DAMAGED:
        yield JournalRecord(0, "", DAMAGED, 0, "", "", "", 0, 0.0, False, (), (), 0, reason, path)  # noqa: FBT003
    for entry in content.entries.values():
        yield record_of(entry, content, state, path)


def record_of(entry: Entry, content: Content, state: str, path: str) -> JournalRecord:
    """Return what a journal says of one lease as a record."""
    owner = content.owner
    return JournalRecord(
        owner.pid if owner else 0,
        owner.program if owner else "",
        state,
        entry.id,
        entry.kind,
        entry.name,
        entry.owner,
        entry.size,
        entry.acquired_at,
        entry.held,
        tuple(one.verb.value for one in entry.targets),
        tuple(one.path for one in entry.targets),
        len(entry.tried),
        entry.tried[-1] if entry.tried else "",
        path,
    )


def _state(descriptor: int, content: Content) -> str:
    owner = content.owner
    if owner is None:
        return DAMAGED
    return DEAD if _locked(descriptor, fcntl.LOCK_SH) or owner.is_gone() else LIVE


def _opened(path: str, flags: int) -> int | None:
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone, a link, or not ours
        return None
    if journal.is_ours(os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return None


def _locked(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _inherited(descriptor: int) -> bool:
    """Return whether a locked journal's owner is gone all the same."""
    owner = journal.read(descriptor).owner
    return owner is not None and owner.is_gone()


def _alone(descriptor: int) -> bool:
    """Keep out other reclaimers, also where a child of the dead holds the lock by which those could be told."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return _locked(descriptor)
    try:  # a lock of the open file, not of the process, which may look twice at once
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
    except OSError:
        return False
    return True


def _in_place(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False
