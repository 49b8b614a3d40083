"""Guards around the moment in which a name goes: that nobody writes, that nobody else merges, and where it really is.

Each asks the system, and a file system that knows no such thing is no reason to stop: a guard only ever forbids.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plugin_survey.use.copy import LeftError

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


def claim(descriptor: int, *, alone: bool) -> None:
    """Keep others who treat the same file from it until it is closed, whichever catalogue they work on.

    Two who keep different files of a group would else delete what the other one keeps.

    Args:
        descriptor: The open file.
        alone: Whether it is to go; otherwise it is kept, as others may keep it.

    Raises:
        LeftError: Somebody else has it.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LeftError("another program has locked it") from error
    except OSError:  # no locks there
        return


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep others who ask for the same from a file until the block is left.

    Raises:
        BlockingIOError: Somebody else has it.
        OSError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # what is not open to write to, NFS does not lock
    except OSError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # no locks there
        yield
    finally:
        os.close(descriptor)


@contextmanager
def unwritten(*descriptors: int) -> Iterator[None]:
    """Make whoever opens one of these files to write to it wait until the block is left.

    Raises:
        LeftError: Somebody has one open to write to it.
    """
    held: list[int] = []
    try:
        held.extend(filter(_lease, descriptors))  # one by one, also up to one that is refused
        yield
    finally:
        for descriptor in held:
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _lease(descriptor: int) -> bool:
    """Take a lease (fcntl(2)), which only the owner of a file gets, on Linux, and not on every file system."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    with suppress(OSError):
        # who waits is announced by a signal: not by SIGIO, which would end this process, but by one that is ignored
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError as error:
            raise LeftError("another program has it, or the one that is kept, open to write to it") from error
        return True
    return False


@contextmanager
def folder_of(name: bytes) -> Iterator[int]:
    """Hold the folder of a name, so that what is done in it cannot be led elsewhere by a link put in its place.

    Raises:
        OSError: It is not there.
    """
    descriptor = os.open(os.path.dirname(name), _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
