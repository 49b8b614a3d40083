"""Which journals there are, and whose processes are dead.

A process is alive as long as its journal is locked, stopped or not, in whichever namespace. Where a lock is held though
the process is certainly gone, a child holds it that was forked behind Python's back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from framework import journal
from framework.journal import Content, Entry
from framework.records import JournalRecord

_LONG_AGO = 60.0  # seconds; a journal gets its name within microseconds

LIVE, DEAD, DAMAGED = "live", "dead", "damaged"


def listed(directory: str) -> list[str]:
    """Return the paths of the journals in a directory; none where there is no directory, or it is not ours alone."""
    try:
        found = os.stat(directory)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return []
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names if name.endswith(journal.SUFFIX) and name[0] != "."]


def unfinished(directory: str) -> list[str]:
    """Return the paths of files that were to become journals a while ago, and never did."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            is_one = entry.name.startswith(".") and journal.SUFFIX in entry.name
            if is_one and time.time() - entry.stat(follow_symlinks=False).st_mtime > _LONG_AGO:
                found.append(entry.path)
    return found


@contextlib.contextmanager
def of_dead(path: str) -> Iterator[tuple[int, Content] | None]:
    """Give the open journal of a process that is dead, locked for as long as it is looked at; nothing for any other."""
    with contextlib.ExitStack() as stack:
        descriptor = _opened(path, os.O_RDWR)
        if descriptor is None:
            yield None
            return
        stack.callback(os.close, descriptor)
        if not _locked(descriptor) and not _inherited(descriptor, os.path.dirname(path), stack):
            yield None
        elif not _in_place(descriptor, path):
            yield None  # somebody else was faster
        else:
            yield descriptor, journal.read(descriptor)


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
    except OSError:
        return
    finally:
        os.close(descriptor)
    if state == DAMAGED:
        reason = "its journal cannot be read"
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


def _inherited(descriptor: int, directory: str, stack: contextlib.ExitStack) -> bool:
    """Return whether a locked journal's owner is gone all the same; then no other reclaimer is let in."""
    owner = journal.read(descriptor).owner
    if owner is None or not owner.is_gone():
        return False
    alone = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, alone)
    return _locked(alone)


def _in_place(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False
