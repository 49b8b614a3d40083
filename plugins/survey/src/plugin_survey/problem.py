"""`Problem`, one file or folder that could not be surveyed, and the closed list of reasons."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

DENIED = "denied"
"""Permission to read it was refused."""
VANISHED = "vanished"
"""It was gone between being found and being read."""
CHANGED = "changed"
"""It was written to while it was read, so that its fingerprint would describe no state it ever had."""
REPLACED = "replaced"
"""It was a regular file when found, and something else (a link, a pipe) when opened."""
FAILED = "failed"
"""The system refused for another reason, which the detail gives."""

REASONS = (CHANGED, DENIED, FAILED, REPLACED, VANISHED)

_BY_ERRNO = {
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.ENOENT: VANISHED,
    errno.ENOTDIR: VANISHED,
    errno.ESTALE: VANISHED,
    errno.ELOOP: REPLACED,
    errno.ENXIO: REPLACED,
}


class Problem(NamedTuple):
    """What was not surveyed, and why: `reason` is one of `REASONS`, `detail` is for people."""

    path: bytes
    reason: str
    detail: str
    folder: bool = False


def problem_from(path: bytes, error: OSError, *, folder: bool = False) -> Problem:
    """Return the problem that an error of the system stands for."""
    number = error.errno or 0
    return Problem(path, _BY_ERRNO.get(number, FAILED), os.strerror(number) if number else str(error), folder)
