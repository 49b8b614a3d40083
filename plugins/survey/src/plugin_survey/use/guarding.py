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

PROBE = b".survey-probe-"
"""How the name of a file begins that is there for a moment, to see in which folders it shows up."""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


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
    """Take a lease (fcntl(2)), which only the owner of a file gets, and not on every file system."""
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


def same_folder(folder: int, path: bytes) -> bool:
    """Return whether what is made in an open folder shows up in one of another file system.

    Layers of a container, and folders mounted by way of a network or a program, are the same files with other devices
    and inodes.

    Raises:
        OSError: Nothing can be made there, so that nothing can be deleted there either.
    """
    probe = PROBE + os.urandom(8).hex().encode()
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
    try:
        return os.path.lexists(os.path.join(path, probe))
    finally:
        os.unlink(probe, dir_fd=folder)
