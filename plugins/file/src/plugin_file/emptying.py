"""Removing all that is in a directory, however deep, and nothing that is not.

Every directory found inside is moved up to the top before it is looked into, so that neither the stack nor descriptors
run out. No link is followed and no path is used, so nobody can redirect it; other file systems mounted inside are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os

from framework.errors import ResourceUnavailableError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_ONCE = 200  # entries, some 2 ms, for which the event loop stands still
_NO_DIRECTORY = {errno.ENOTDIR, errno.ELOOP}
_CHANGED = {errno.ENOENT, errno.ENOTEMPTY}  # by somebody else meanwhile: it is looked at again


async def empty(top: int, kind: str, path: str) -> None:
    """Remove all that is in an open directory, in steps that can be cancelled.

    Args:
        top: The directory.
        kind: The kind of resource, for messages.
        path: Where it is, for messages.

    Raises:
        OSError: Something cannot be removed.
        ResourceUnavailableError: Another file system is mounted inside.
    """
    _open_up(top)
    home = None
    while folders := await _remove_files(top, top):
        await asyncio.sleep(0)
        home = home or _mount(top)
        for name in folders:
            inner = _entered(top, name)
            if inner is None:
                continue
            try:
                if _mount(inner) != home:
                    raise ResourceUnavailableError(
                        f"{kind} cannot remove {path!r}: another file system is mounted inside.", "Unmount it first."
                    )
                await _remove_files(inner, top)
            finally:
                os.close(inner)
            try:
                os.rmdir(name, dir_fd=top)
            except OSError as error:
                if error.errno not in _CHANGED:
                    raise


async def _remove_files(directory: int, top: int) -> list[str]:
    """Remove the files of a directory, move its directories up to the top, and return the names they have there."""
    folders: list[str] = []
    with os.scandir(directory) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for number, (name, is_folder) in enumerate(entries, 1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # looked at again
            if not is_folder:
                os.unlink(name, dir_fd=directory)
            elif directory == top:
                folders.append(name)
            else:
                folders.append(_moved(name, directory, top))
    return folders


def _moved(name: str, directory: int, top: int) -> str:
    new = f".framework-removed-{os.urandom(8).hex()}"
    try:
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=top)
    except PermissionError:  # a directory that may not be written to cannot change its parent
        inner = os.open(name, _LOOK, dir_fd=directory)
        try:
            os.chmod(f"/proc/self/fd/{inner}", 0o700)
        finally:
            os.close(inner)
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=top)
    return new


def _entered(top: int, name: str) -> int | None:
    """Open a directory so that what is in it can be removed; nothing if it is none any more."""
    try:
        looked = os.open(name, _LOOK, dir_fd=top)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_DIRECTORY:
            raise
        os.unlink(name, dir_fd=top)  # somebody put something else in its place
        return None
    try:
        if os.fstat(looked).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{looked}", 0o700)
        return os.open(".", _OPEN, dir_fd=looked)
    finally:
        os.close(looked)


def _mount(directory: int) -> tuple[int, str]:
    """Return the file system that a directory is on, and the mount, as far as the system tells.

    The former does not say enough: another part of the same file system may be mounted there.
    """
    mount = ""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{directory}", encoding="ascii") as file:
        mount = next((line for line in file if line.startswith("mnt_id:")), "")
    return os.fstat(directory).st_dev, mount


def _open_up(directory: int) -> None:
    if os.fstat(directory).st_mode & 0o700 != 0o700:
        os.fchmod(directory, 0o700)
