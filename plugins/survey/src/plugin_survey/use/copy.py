"""`Copy`, one of several files of equal content, and whether it is still what was surveyed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from plugin_survey.cataloguing.catalogue import nearest, signed

CHUNK = 1 << 20
TEMPORARY = b".survey-link-"
"""How the temporary name of a link begins, before the inode of the file whose name it will take."""
ASIDE = b".survey-gone-"
"""How the name begins that a file has for a moment while it goes, before its inode."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Copy(NamedTuple):
    """A file by all its names, with what the survey saw of it; `ctime_ns` is 0 where it could not rely on that."""

    names: tuple[bytes, ...]
    size: int
    device: int
    inode: int
    mtime_ns: int
    ctime_ns: int

    @property
    def left_over(self) -> bool:
        """Whether all its names are temporary ones, left by somebody who was killed at his work."""
        return is_left_over(self.names[0])  # such names come last

    def moved_on(self, found: os.stat_result) -> str:
        """Return why a file is not the one that was surveyed, or nothing."""
        if not stat.S_ISREG(found.st_mode):
            return "it is no regular file now"
        if signed(found.st_dev) != self.device:
            return "it is on another device than when it was surveyed"
        if signed(found.st_ino) != self.inode:
            return "it was replaced by another file since the survey"
        if found.st_size != self.size or nearest(found.st_mtime_ns) != self.mtime_ns:
            return "it was written to since the survey"
        if self.ctime_ns and nearest(found.st_ctime_ns) != self.ctime_ns:
            return "it was linked, renamed or changed otherwise since the survey"
        return ""


class Equal(NamedTuple):
    """Files of equal content, sorted by first name; of very many each time read again."""

    size: int
    digest: bytes
    copies: Collection[Copy]

    @property
    def wasted(self) -> int:
        """Bytes that would be saved if one file were kept."""
        return self.size * (len(self.copies) - 1)


class LeftError(Exception):
    """A file is to be left alone; the message says why."""


def is_left_over(path: bytes) -> bool:
    """Return whether a name is a temporary one."""
    return os.path.basename(path).startswith((TEMPORARY, ASIDE))


@contextmanager
def held(copy: Copy) -> Iterator[int]:
    """Open a file by its first name and give the descriptor, if it is the one that was surveyed.

    Raises:
        LeftError: It is not, or it cannot be opened.
    """
    with opened(copy.names[0]) as descriptor:
        if why := copy.moved_on(os.fstat(descriptor)):
            raise LeftError(why)
        yield descriptor


@contextmanager
def opened(path: bytes) -> Iterator[int]:
    """Open a file to read it, but no link, and give the descriptor.

    Raises:
        LeftError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise LeftError("it is missing") from error
    except OSError as error:
        raise LeftError(f"it cannot be opened: {os.strerror(error.errno or 0)}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def same_content(one: int, other: int) -> bool:
    """Return whether two open files are equal byte by byte.

    Raises:
        OSError: One cannot be read.
    """
    place = 0
    while chunk := os.pread(one, CHUNK, place):
        # the system may give less than asked for
        if chunk != _exactly(other, len(chunk), place):
            return False
        place += len(chunk)
    return not os.pread(other, 1, place)


def _exactly(descriptor: int, length: int, place: int) -> bytes:
    parts = []
    while length and (part := os.pread(descriptor, length, place)):
        parts.append(part)
        place += len(part)
        length -= len(part)
    return b"".join(parts)
