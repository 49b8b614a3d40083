"""POSIX shared memory by name: create, open, remove, nothing else.

This is the only module that knows `_posixshmem`, the C module below the standard library's `shared_memory`. The class
above it is not used because it tells a helper process of every segment, *after* creating it: a kill in between leaks
the segment (measured: one kill in two under load), and before Python 3.13 a process that merely attached destroys the
segment when it exits. The C module is there on Linux and macOS from 3.8 on and has no such side effects.
"""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]  # a C module that mypy has no stubs for
import asyncio
import os
import re
import stat
import sys

PREFIX = "framework."
"""What every segment's name begins with, so that an operator can tell whose it is."""

DIGEST_PREFIX = "framework~"
"""Begins the names of segments whose own name could not be used as it is."""

_LONGEST = 30 if sys.platform == "darwin" else 250
_MODE = 0o600
# A segment grows while it is reserved. Until it is complete nobody may open it; macOS cannot change the mode later,
# and needs not, because there a segment gets its size in one step.
_UNFINISHED = _MODE if sys.platform == "darwin" else 0
# In /dev/shm anybody can put a pipe where a segment was, and opening that must not wait for a writer.
_AT_ONCE = 0 if sys.platform == "darwin" else os.O_NONBLOCK
_CHUNK = 16 << 20  # bytes reserved at once: some 2 ms, for which the event loop stands still


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


def create(segment: str) -> int:
    """Create a segment of no size that nobody else can open yet, and return its descriptor.

    Raises:
        OSError: It exists, or the system refuses.
    """
    descriptor: int = _posixshmem.shm_open(f"/{segment}", os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=_UNFINISHED)
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


def publish(descriptor: int) -> None:
    """Let others of the same user open a segment, which is complete now."""
    if _UNFINISHED != _MODE:
        os.fchmod(descriptor, _MODE)


def is_published(found: os.stat_result) -> bool:
    """Return whether a segment is complete."""
    return found.st_size > 0 and bool(stat.S_IMODE(found.st_mode) & _MODE)


def attach(segment: str) -> int:
    """Open an existing segment to read and write, and return its descriptor.

    Raises:
        OSError: There is none, or it may not be opened.
    """
    descriptor: int = _posixshmem.shm_open(f"/{segment}", os.O_RDWR | _AT_ONCE, mode=0)
    return descriptor


def unlink(segment: str) -> None:
    """Take away a segment's name; its memory goes with the last mapping.

    Raises:
        OSError: There is none, or it may not be removed.
    """
    _posixshmem.shm_unlink(f"/{segment}")


def identity(descriptor: int) -> tuple[int, int]:
    """Return what tells a segment from a later one of the same name, as long as it is mapped."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def is_still(segment: str, expected: tuple[int, int]) -> bool:
    """Return whether a name still stands for the segment of that identity."""
    try:
        descriptor = _posixshmem.shm_open(f"/{segment}", os.O_RDONLY | _AT_ONCE, mode=0)
    except OSError:  # gone, or another user's
        return False
    try:
        return identity(descriptor) == expected
    finally:
        os.close(descriptor)
