"""Which journals there are, and whose processes are dead.

A process is alive as long as its journal is locked, stopped or not, in whichever namespace. Where a lock is held though
the process is certainly gone, a child holds it that was forked behind Python's back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Iterator

from framework import journal
from framework.errors import PolicyError, ResourceUnavailableError
from framework.identity import Owner
from framework.journal import Content, Entry
from framework.records import JournalRecord

_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # a struct flock of Linux

LIVE, DEAD, DAMAGED = "live", "dead", "damaged"


def listed(directory: str) -> list[str]:
    """Return the paths of the journals in a directory; none where there is no directory.

    Raises:
        PolicyError: Somebody else could have put something there.
        ResourceUnavailableError: It cannot be read.
    """
    try:
        found = os.stat(directory)
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResourceUnavailableError(
            f"The journals of leases in {directory!r} cannot be read: {(error.strerror or str(error)).lower()}.",
            "Make it a directory that you may read, or set XDG_STATE_HOME to another place.",
            resource=directory,
        ) from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PolicyError(
            f"The journals of leases in {directory!r} are not read: the directory belongs to user {found.st_uid} and"
            f" has mode {stat.S_IMODE(found.st_mode):o}; allowed: user {os.geteuid()}, and nobody else who may write.",
            "Give it to yourself with mode 700, or set XDG_STATE_HOME to a directory of your own.",
            resource=directory,
        )
    return [os.path.join(directory, name) for name in names if name.endswith(journal.SUFFIX) and name[0] != "."]


def tidy(directory: str) -> None:
    """Remove files that were to become journals, and whose process died before they did."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            if name[0] == "." and journal.SUFFIX in name:
                _remove_unlocked(os.path.join(directory, name))


def _remove_unlocked(path: str) -> None:
    descriptor = _opened(path, os.O_RDONLY)
    if descriptor is not None:
        with contextlib.suppress(OSError):
            if locked(descriptor):
                os.unlink(path)
        os.close(descriptor)


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
        dead = (locked(descriptor) or _inherited(descriptor)) and _alone(descriptor)
        # somebody else may have been faster, and have removed it
        yield (descriptor, journal.read(descriptor)) if dead and _in_place(descriptor, path) else None
    finally:
        os.close(descriptor)


def held(directory: str = "") -> list[JournalRecord]:
    """Return every lease of every process of this user that keeps a journal, without changing anything.

    A journal that cannot be read, or not all of it, is a record too, which says so.

    Args:
        directory: Where the journals are; the user's when empty.

    Raises:
        PolicyError: Somebody else could have put journals there.
        ResourceUnavailableError: Nothing says where the user's home is, or the directory cannot be read.
    """
    return [record for path in listed(directory or journal.directory_path()) for record in _records(path)]


def _records(path: str) -> Iterator[JournalRecord]:
    descriptor = _opened(path, os.O_RDONLY)
    if descriptor is None:
        if os.path.lexists(path):
            yield _damaged(path, None, "it is not a plain file that this user alone may write to")
        return
    try:
        content = journal.read(descriptor)
        state = _state(descriptor, content)
        if not _in_place(descriptor, path):  # written anew meanwhile, or removed
            yield from _records(path)
            return
    except OSError as error:
        yield _damaged(path, None, f"it cannot be read: {error.strerror}")
        return
    finally:
        os.close(descriptor)
    if content.owner is None:
        yield _damaged(path, None, "it does not say whose it is; remove it by hand")
    elif content.damaged:
        yield _damaged(path, content.owner, "some of it cannot be read; the rest is shown")
    for entry in content.entries.values():
        yield record_of(entry, content, state, path)


def _damaged(path: str, owner: Owner | None, reason: str) -> JournalRecord:
    pid, program = (owner.pid, owner.program) if owner else (0, "")
    nothing: tuple[str, ...] = ()
    return JournalRecord(
        pid,
        program,
        DAMAGED,
        0,
        "",
        "",
        "",
        0,
        0.0,
        held=False,
        verbs=nothing,
        paths=nothing,
        reason=reason,
        journal=path,
    )


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
    return DEAD if locked(descriptor, fcntl.LOCK_SH) or owner.is_gone() else LIVE


def _opened(path: str, flags: int) -> int | None:
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone, a link, or not ours
        return None
    if journal.is_ours(os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return None


def locked(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock a journal, and return whether that worked: its owner, or a child that was just forked, may hold it still."""
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
        return locked(descriptor)
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
