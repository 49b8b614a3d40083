"""Renaming where nothing may be yet, which Python does not offer."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Callable

_NO_REPLACE = 1  # RENAME_NOREPLACE
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL}


def rename_new(directory: int, name: str, new: str) -> None:
    """Rename something within a directory, and never replace anything.

    Where the system cannot do so in one step a file is linked, which is as good; a directory might then replace an
    *empty* directory that appears at the same moment.

    Raises:
        OSError: Something is there, or the system refuses.
    """
    rename = _renameat2()
    if rename is not None:
        error = rename(directory, name, new)
        if error not in _UNSUPPORTED:
            if error:
                raise OSError(error, os.strerror(error))
            return
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        if _is_there(directory, new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        os.link(name, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.unlink(name, dir_fd=directory)


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@functools.cache
def _renameat2() -> Callable[[int, str, str], int] | None:
    """Return the system call of Linux, which returns an error number or 0; nothing where there is none."""
    import ctypes  # loads libffi, which most requests do not need

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None

    def rename(directory: int, name: str, new: str) -> int:
        failed = call(directory, os.fsencode(name), directory, os.fsencode(new), _NO_REPLACE)
        return ctypes.get_errno() if failed else 0

    return rename
