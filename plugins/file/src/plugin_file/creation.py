"""Creating a file that did not exist, with its size really reserved; whatever fails or is killed, nothing is left.

A file is made without a name, and gets it, by a link, when it is complete. Where a file system has no nameless files, a
hidden name that contains the lease's token takes their place: the journal can tell whose it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
from typing import NamedTuple

from framework import Recovery, ResourceProvider, check_size
from framework.errors import ResourceUnavailableError
from plugin_file.marking import mark
from plugin_file.places import Identity, Place, identify
from plugin_file.refusals import refusal
from plugin_file.renaming import rename_new

_CHUNK = 16 << 20  # bytes reserved at once, for which the event loop stands still
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EINVAL, errno.EISDIR, errno.ENOENT}


class NewFile(NamedTuple):
    """A file that was just created, and is open to read and write. Its name is empty as long as it has none."""

    descriptor: int
    name: str

    @property
    def identity(self) -> Identity:
        """What it is, whatever its name."""
        return identify(os.fstat(self.descriptor))


def create_nameless(directory: str) -> NewFile | None:
    """Create an empty file without a name, for this user only, in a directory that may be anywhere.

    One step, where `create_draft` has to open the directory first and to look where it is. `directory_of` tells that
    later. Returns nothing where there can be no such file, for whatever reason; `create_draft` has words for it.
    """
    if not _can_link():
        return None
    try:
        return NewFile(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), "")
    except (OSError, ValueError):  # ValueError: the path has a null character
        return None


def directory_of(created: NewFile) -> str:
    """Return the directory of a file without a name: absolute, without symbolic links.

    Raises:
        OSError: The system does not tell.
    """
    path = os.readlink(f"/proc/self/fd/{created.descriptor}")  # such as "/tmp/#1234 (deleted)"
    if path[:1] != "/":  # it was made in a place that this process cannot reach any more
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path.rpartition("/")[0].rstrip("/") or "/"


async def create_draft(provider: ResourceProvider, kind: str, size: int, target: Place) -> NewFile:
    """Create a file of `size` bytes, all zero, for this user only, without a name where that can be.

    Args:
        provider: Who intends what outlives the process.
        kind: The kind of resource, for messages.
        size: Bytes to reserve.
        target: Where it shall be, with the name that it gets if it must have one; that contains the lease's token.

    Raises:
        ResourceLimitError: Its file system is smaller than that, or a limit of the process is in the way.
        ResourceUnavailableError: There is no permission or no room.
    """
    check_room(kind, size, target)
    try:
        created = _create(provider, target)
    except OSError as error:
        raise refusal(error, kind, "create", target.path) from error
    try:
        await _reserve(created.descriptor, size)
    except OSError as error:
        discard(created, target)
        raise refusal(error, kind, f"reserve {size} bytes for", target.path) from error
    except BaseException:
        discard(created, target)
        raise
    return created


async def create_file(provider: ResourceProvider, kind: str, size: int, target: Place, *, persistent: bool) -> NewFile:
    """Create a file of `size` bytes at a place where nothing is yet.

    Raises:
        ResourceLimitError: Its file system is smaller than that, or a limit of the process is in the way.
        ResourceUnavailableError: Something is there, or there is no permission or no room.
    """
    try:
        if not target.is_empty():  # the link below would tell, but only after all has been reserved
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    except OSError as error:
        raise refusal(error, kind, "create", target.path) from error
    token = provider.token()
    created = await create_draft(provider, kind, size, target.beside(hidden_name(token)))
    try:
        if not persistent:
            mark(provider, Recovery.UNLINK, target.path, created.descriptor, token)
        named = publish(created, target)
    except OSError as error:
        discard(created, target)
        raise refusal(error, kind, "create", target.path) from error
    except BaseException:
        discard(created, target)
        raise
    if persistent:
        provider.disclaim()
    return named


def hidden_name(token: str) -> str:
    """Return the name of what is not complete yet."""
    return f".framework-{token}"


def publish(created: NewFile, target: Place) -> NewFile:
    """Give a file its name, where nothing may be.

    Raises:
        OSError: Something is there, or the system refuses.
    """
    if created.name:
        rename_new(target.directory, created.name, target.name)
    else:
        os.link(f"/proc/self/fd/{created.descriptor}", target.name, dst_dir_fd=target.directory)
    return NewFile(created.descriptor, target.name)


def discard(created: NewFile, target: Place) -> None:
    """Close a file that cannot be completed, and remove its name, if it has one, from the target's directory."""
    if created.name:
        with contextlib.suppress(OSError):  # the failure that led here is the one to report
            if target.beside(created.name).holds(created.identity):
                os.unlink(created.name, dir_fd=target.directory)
    os.close(created.descriptor)


def check_room(kind: str, size: int, target: Place) -> None:
    """Refuse what cannot fit before anything is written, because filling a disk to find out harms others."""
    if size == 0:
        return
    try:
        found = os.statvfs(target.directory)
    except OSError:  # the reservation will tell
        return
    if found.f_blocks == 0:  # file systems without a size of their own say 0
        return
    where = f"the file system of {target.path!r}"
    check_size(kind, size, at_most=found.f_blocks * found.f_frsize, of=where)
    free = found.f_bavail * found.f_frsize
    if size > free:
        raise ResourceUnavailableError(
            f"{kind} got size {size}, but {where} has {free} bytes free.", "Ask for less, or make room there."
        )


def _create(provider: ResourceProvider, target: Place) -> NewFile:
    descriptor, name = -1, ""
    if _can_link():
        try:
            descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=target.directory)
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
    if descriptor < 0:
        name = target.name
        provider.intend(Recovery.UNLINK, target.path)
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=target.directory)
    return NewFile(descriptor, name)


@functools.cache
def _can_link() -> bool:
    """Return whether this system has files without a name, and a way to give them one."""
    return hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")


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
