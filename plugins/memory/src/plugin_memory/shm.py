"""Shared memory as the operating system knows it: create, publish, open, remove, nothing else.

On Linux a segment is a file in /dev/shm. It is made without a name and gets one, by a link, only when it is complete
and the journal knows how to undo it: a kill in between leaves nothing, and nobody ever sees half a segment. Where
/dev/shm makes no nameless files a hidden name that contains the lease's token takes their place. macOS has no such
folder; there the C module below the standard library's `shared_memory` is used, and what a killed process had stays.

The class above that module is not used because it tells a helper process of every segment, *after* creating it: a kill
in between leaks the segment (measured: one kill in two under load), and before Python 3.13 a process that merely
attached destroys the segment when it exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import functools
import os
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass

DIRECTORY = "/dev/shm"  # noqa: S108 - the mount that shm_open uses, not a place for temporary files

PREFIX = "framework."
"""What every segment's name begins with, so that an operator can tell whose it is."""

DIGEST_PREFIX = "framework~"
"""Begins the names of segments whose own name could not be used as it is."""

_MAC = sys.platform == "darwin"
_LONGEST = 30 if _MAC else 250
_MODE = 0o600
# In /dev/shm anybody can put a pipe or a link where a segment was: opening must neither wait nor follow.
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}
_CHUNK = 16 << 20  # bytes reserved at once: some 2 ms, for which the event loop stands still

Identity = tuple[int, int]
"""Device and inode: what tells a segment from a later one of the same name, as long as it is mapped."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A new segment that is not complete. Its name is empty, hidden, or, on macOS, already the final one."""

    descriptor: int
    name: str


def segment_name(name: str) -> str:
    """Return the name under which the operating system knows a resource's segment; always the same for a name.

    Short plain names stay readable; any other becomes a digest, because /dev/shm takes at most 255 bytes (macOS 31).
    """
    if len(PREFIX) + len(name) <= _LONGEST and re.fullmatch(r"[A-Za-z0-9._-]+", name):
        return PREFIX + name
    import base64
    import hashlib  # loads OpenSSL, which plain names need not wait for

    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return DIGEST_PREFIX + base64.b32encode(digest).decode().lower()[:20]


def path_of(segment: str) -> str:
    """Return where a segment is found as a file, or nothing where segments are none."""
    return "" if _MAC else f"{DIRECTORY}/{segment}"


def draft(segment: str, token: str, intend: Callable[[str], None]) -> Draft:
    """Create a segment of no size that nobody else can open yet.

    Args:
        segment: The name that it will have.
        token: What a hidden name contains, where one is needed.
        intend: Called with the path of the hidden name before it is made.

    Raises:
        OSError: The system refuses.
    """
    if _MAC:
        return Draft(_shm_open(segment, os.O_CREAT | os.O_EXCL | os.O_RDWR), segment)
    try:
        return Draft(os.open(DIRECTORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, _MODE), "")
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
    hidden = f".{PREFIX}{token}"
    intend(path_of(hidden))
    return Draft(os.open(path_of(hidden), os.O_CREAT | os.O_EXCL | os.O_RDWR | _OPEN, _MODE), hidden)


def nameless(title: str) -> int | None:
    """Create memory without a name, which goes with its last descriptor; nothing where there is no such thing.

    Raises:
        OSError: The system refuses.
    """
    if not hasattr(os, "memfd_create"):
        return None
    descriptor = os.memfd_create(title, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(descriptor, _MODE)
    return descriptor


async def reserve(descriptor: int, size: int) -> None:
    """Give a new segment its size with real memory behind every page, in steps that can be cancelled.

    A segment that only got its size (ftruncate) answers with SIGBUS, at the first write, when /dev/shm is full.

    Raises:
        OSError: There is not that much room.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS, where shared memory is ordinary memory
        os.ftruncate(descriptor, size)
        return
    for start in range(0, size, _CHUNK):
        if start:
            await asyncio.sleep(0)
        os.posix_fallocate(descriptor, start, min(_CHUNK, size - start))


def publish(made: Draft, segment: str) -> None:
    """Give a complete segment its name.

    Raises:
        OSError: The name is taken, or the system refuses.
    """
    if made.name == segment:
        return
    source = path_of(made.name) if made.name else f"/proc/self/fd/{made.descriptor}"
    # With a descriptor, which an absolute path makes nothing of, Python follows the link that /proc has there.
    os.link(source, path_of(segment), src_dir_fd=made.descriptor)
    if made.name:
        with contextlib.suppress(OSError):  # the journal knows it
            unlink(made.name)


def discard(made: Draft) -> None:
    """Remove what a segment that could not be completed is known by, and close it."""
    if made.name:
        with contextlib.suppress(OSError):  # the failure that led here is the one to report
            unlink(made.name)
    os.close(made.descriptor)


def seal(descriptor: int) -> None:
    """Let nobody change the size of nameless memory any more: a smaller one would end whoever maps it by SIGBUS."""
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)


def is_sealed(descriptor: int) -> bool:
    """Return whether a descriptor is of nameless memory that is complete."""
    try:
        return bool(fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
    except OSError:  # a file, a pipe, anything else
        return False


def is_published(found: os.stat_result) -> bool:
    """Return whether a segment is one, and complete."""
    return found.st_size > 0 and stat.S_ISREG(found.st_mode)


def attach(segment: str) -> int:
    """Open an existing segment to read and write, and return its descriptor.

    Raises:
        OSError: There is none, or it may not be opened.
    """
    return _shm_open(segment, os.O_RDWR) if _MAC else os.open(path_of(segment), os.O_RDWR | _OPEN)


def unlink(segment: str) -> None:
    """Take away a segment's name; its memory goes with the last mapping.

    Raises:
        OSError: There is none, or it may not be removed.
    """
    if _MAC:
        import _posixshmem  # type: ignore[import-not-found]  # a C module that mypy has no stubs for

        _posixshmem.shm_unlink(f"/{segment}")
    else:
        os.unlink(path_of(segment))


def identity(descriptor: int) -> Identity:
    """Return what tells a segment from any other."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def proof(descriptor: int, known: Identity, token: str) -> str:
    """Return what will show that a segment is the one made for a lease, so that no later one is taken for it.

    Raises:
        OSError: /dev/shm is a folder of a file system that uses inodes again and takes no marks.
    """
    device, inode = known
    if _never_repeats(device):
        return f"inode:{device}:{inode}"
    os.setxattr(descriptor, "user.framework.lease", token.encode())
    return f"mark:{token}"


@functools.cache
def _never_repeats(device: int) -> bool:
    """Return whether a device is a tmpfs or ramfs, which use no inode's number twice."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [line.partition(" - ") for line in file]
    return any(left.split()[2] == wanted and right.split()[0] in {"tmpfs", "ramfs"} for left, _, right in mounts)


def is_still(segment: str, expected: Identity) -> bool:
    """Return whether a name still stands for the segment of that identity."""
    try:
        if not _MAC:
            found = os.lstat(path_of(segment))
            return (found.st_dev, found.st_ino) == expected
        descriptor = _shm_open(segment, os.O_RDONLY)
    except OSError:  # gone, or another user's
        return False
    try:
        return identity(descriptor) == expected
    finally:
        os.close(descriptor)


def _shm_open(segment: str, flags: int) -> int:
    import _posixshmem

    descriptor: int = _posixshmem.shm_open(f"/{segment}", flags, mode=_MODE)
    return descriptor
