"""`Source`, a regular file open for reading at any place."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import Self

CHUNK = 256 << 10
"""Bytes that are read at once."""

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Source:
    """A regular file, open for reading at any place; what lies outside of it is empty, never an error.

    Raises:
        OSError: The system refuses, or it is no regular file. A link is not followed, a pipe not waited for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, _OPEN)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._descriptor)
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        self.size = found.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`, or as many as there are."""
        if not 0 <= offset < self.size or count <= 0:
            return b""
        count = min(count, self.size - offset)
        data = os.pread(self._descriptor, count, offset)
        while 0 < len(data) < count:
            # a network file system may give less than asked for
            more = os.pread(self._descriptor, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def chunks(self, start: int = 0, end: int | None = None, size: int = CHUNK) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`, or to the end of the file, in pieces of `size` bytes."""
        end = self.size if end is None else min(end, self.size)
        while start < end and (data := self.read(start, min(size, end - start))):
            yield data
            start += len(data)
