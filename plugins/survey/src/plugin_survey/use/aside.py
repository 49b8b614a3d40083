"""Moves a file that is to go to a name beside its own first, so that what would be lost with it shows before it is.

Only without its name can be seen that another file, in spite of its device and inode, was the same one: a server may
show links as files and folders, and two file systems the same folder. Only then, too, it is certain that what goes is
what was looked at. Whoever is killed in between leaves the file at the other name, and an undo gives it its own again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zlib import crc32

from plugin_survey.use.copy import ASIDE, LeftError

_RESERVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""What file systems answer that know no hard links, such as FAT, and those that allow no more of them."""


def aside_of(name: bytes, inode: int) -> bytes:
    """Return the other name of a file; each of the names of a file in a folder has its own."""
    return b"%s%x-%08x" % (ASIDE, inode, crc32(name))


@contextmanager
def set_aside(folder: int, name: bytes, inode: int) -> Iterator[bytes]:
    """Move a file to its other name in its folder, and back again unless it is gone from there in the end.

    Raises:
        LeftError: Something has the other name, or it cannot get its own one back.
        OSError: The system refuses.
    """
    aside = aside_of(name, inode)
    if is_there(aside, folder):
        raise LeftError(f"something else is at {os.fsdecode(aside)!r}")
    try:
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
        yield aside
    finally:
        if is_there(aside, folder):
            _put_back(folder, aside, name)


def _put_back(folder: int, aside: bytes, name: bytes) -> None:
    try:
        give_name(folder, aside, name)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise LeftError(
            f"its name cannot be given back ({reason}): it is beside it, at {os.fsdecode(aside)!r}"
        ) from error


def give_name(folder: int, temporary: bytes, name: bytes) -> None:
    """Give a file a name that nothing has yet, and take away the one that it has.

    Raises:
        FileExistsError: Something has that name.
        OSError: The system refuses.
    """
    try:
        # unlike renaming it replaces nothing
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(name, _RESERVE, 0o600, dir_fd=folder))  # which is replaced at once
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)


def is_there(name: bytes, folder: int) -> bool:
    """Return whether a folder has something of that name."""
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
