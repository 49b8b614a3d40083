"""What the system's refusals mean to the user."""

from __future__ import annotations

import errno
import os

from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError

_NO_ROOM = "Ask for less, or make room there."
_REMEDIES = {
    errno.EACCES: "Choose a directory where this user may create and remove files.",
    errno.EAGAIN: "Release threads, or raise the limit (ulimit -u).",
    errno.EBUSY: "Unmount what is mounted there first.",
    errno.EDQUOT: _NO_ROOM,
    errno.EEXIST: "Choose another path, or remove what is there.",
    errno.EFBIG: "Ask for less, or raise the limit on file sizes (ulimit -f).",
    errno.EISDIR: "Choose a path where no directory is.",
    errno.EMFILE: "Release something, or raise the limit on open files (ulimit -n).",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOENT: "Create its directory first.",
    errno.ENOSPC: _NO_ROOM,
    errno.ENOTDIR: "Choose a path whose parent is a directory.",
    errno.EPERM: "Choose a directory where this user may create and remove files.",
    errno.EROFS: "Choose a directory that is not mounted read-only.",
    errno.EXDEV: "Acquire the temporary file with directory= set to the directory where it shall end up.",
}
_CLASSES: dict[int, type[ResourceError]] = {
    errno.EAGAIN: ResourceLimitError,
    errno.EFBIG: ResourceLimitError,
    errno.EMFILE: ResourceLimitError,
    errno.ENAMETOOLONG: InvalidRequestError,
}


def refusal(error: OSError, kind: str, action: str, path: str) -> ResourceError:
    """Return the error to raise, with the way out that fits the cause."""
    number = error.errno or 0
    cause = os.strerror(number).lower() if number else str(error)
    if number == errno.EEXIST and os.path.isdir(path):
        cause = "a directory is there"
    make = _CLASSES.get(number, ResourceUnavailableError)
    return make(f"{kind} cannot {action} {path!r}: {cause}.", _REMEDIES.get(number, "Choose another path."))
