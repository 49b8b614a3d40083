"""Creating a file that did not exist, with its size really reserved; whatever fails, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from framework import check_size
from framework.errors import ResourceUnavailableError
from plugin_file.places import Place, place
from plugin_file.refusals import refusal

_CHUNK = 16 << 20  # bytes reserved at once, for which the event loop stands still
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}

Identity = tuple[int, int]
"""Device and inode: what a file is, whatever its name. Unique as long as it is open."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that was just created, and is open to read and write."""

    path: str
    descriptor: int
    identity: Identity


async def create_file(kind: str, path: str | os.PathLike[str], size: int, roots: Sequence[str] = ()) -> NewFile:
    """Create a file of `size` bytes, all zero, for this user only.

    Raises:
        InvalidRequestError: The path cannot be that of a file.
        PolicyError: It is outside the roots.
        ResourceLimitError: Its file system is smaller than that, or a limit of the process is in the way.
        ResourceUnavailableError: Something is there, or there is no directory, no permission or no room.
    """
    with place(kind, path, roots) as target:
        _check_room(kind, size, target)
        try:
            descriptor = os.open(target.name, _CREATE, 0o600, dir_fd=target.directory)
        except OSError as error:
            raise refusal(error, kind, "create", target.path) from error
        created = NewFile(target.path, descriptor, identify(os.fstat(descriptor)))
        try:
            await _reserve(descriptor, size)
        except OSError as error:
            _discard(created, target)
            raise refusal(error, kind, f"reserve {size} bytes for", target.path) from error
        except BaseException:
            _discard(created, target)
            raise
        return created


def identify(found: os.stat_result) -> Identity:
    """Return what tells a file from any other."""
    return found.st_dev, found.st_ino


def _check_room(kind: str, size: int, target: Place) -> None:
    """Refuse what cannot fit before anything is written, because filling a disk to find out harms others."""
    try:
        found = os.statvfs(target.directory)
    except OSError:  # the reservation will tell
        return
    if size == 0 or found.f_blocks == 0:  # file systems without a size of their own say 0
        return
    where = f"the file system of {target.path!r}"
    check_size(kind, size, at_most=found.f_blocks * found.f_frsize, of=where)
    free = found.f_bavail * found.f_frsize
    if size > free:
        raise ResourceUnavailableError(
            f"{kind} got size {size}, but {where} has {free} bytes free.", "Ask for less, or make room there."
        )


async def _reserve(descriptor: int, size: int) -> None:
    for start in range(0, size, _CHUNK):
        if start:
            await asyncio.sleep(0)
        length = min(_CHUNK, size - start)
        if not _allocate(descriptor, start, length):
            _write_zeros(descriptor, start, length)


def _allocate(descriptor: int, start: int, length: int) -> bool:
    """Reserve without writing; false where the system or the file system cannot."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return False
    try:
        os.posix_fallocate(descriptor, start, length)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _write_zeros(descriptor: int, start: int, length: int) -> None:
    zeros = memoryview(bytes(min(length, 1 << 20)))
    end = start + length
    while start < end:
        start += os.pwrite(descriptor, zeros[: end - start], start)


def _discard(created: NewFile, target: Place) -> None:
    with contextlib.suppress(OSError):  # the failure that led here is the one to report
        found = os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
        if identify(found) == created.identity:
            os.unlink(target.name, dir_fd=target.directory)
    os.close(created.descriptor)
