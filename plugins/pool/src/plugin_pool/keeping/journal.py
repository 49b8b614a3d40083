"""`Journal`: a file that records are appended to by storing them in memory that the file is mapped to.

What is stored is in the page cache of the operating system at once, without a system call and without letting go of
Python's lock: `kill -9` loses nothing of it, and other threads need not be waited for afterwards. Room is reserved
before it is mapped, so that a full disk is an error and not a signal.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable
from typing import Final

FIRST: Final = 1 << 16
"""Bytes that are reserved at first, and at least each time after."""
_MOST: Final = 4 << 20
_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class Journal:
    """One file, open for appending. Its user sees to it that one thread writes at a time.

    Attributes:
        generation: Its number; the snapshot of that number is what it begins with.
        write: Appends a record; raises ValueError where there is no room, and then has written nothing.
    """

    def __init__(self, path: str, generation: int, descriptor: int, end: int) -> None:
        self.path = path
        self.generation = generation
        self._descriptor = descriptor
        self.size = end
        self._memory: mmap.mmap | None = None
        self._end = end
        self.write: Callable[[bytes], object] = self._full
        self.grow(1)

    @classmethod
    def made(cls, path: str, generation: int, content: bytes) -> Journal:
        """Make a file that begins with some records; it has its name only once they are in it.

        Raises:
            OSError: It cannot be made; nothing is left of it then.
        """
        hidden = f"{path}.tmp"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden)
        descriptor = os.open(hidden, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            made = cls(path, generation, descriptor, 0)
            made.append(content)
            os.fdatasync(descriptor)
            os.rename(hidden, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            os.close(descriptor)
            raise
        return made

    @classmethod
    def continued(cls, path: str, generation: int, end: int) -> Journal:
        """Go on with a file behind its last whole record; what is there is cut off.

        Raises:
            OSError: It cannot be written, or there is no room.
        """
        descriptor = os.open(path, _FLAGS)
        try:
            os.ftruncate(descriptor, end)
            return cls(path, generation, descriptor, end)
        except BaseException:
            os.close(descriptor)
            raise

    def append(self, content: bytes) -> None:
        """Write records, and make room for them if need be.

        Raises:
            OSError: There is no room.
        """
        try:
            self.write(content)
        except ValueError:
            self.grow(len(content))
            self.write(content)

    def tell(self) -> int:
        """Return how many bytes were written."""
        memory = self._memory
        return self._end if memory is None else memory.tell()

    def count(self) -> int:
        """Return how many records were written."""
        return 0 if self._memory is None else self._memory[: self._memory.tell()].count(b"\n")

    def grow(self, need: int) -> None:
        """Make room for at least so many bytes.

        Raises:
            OSError: There is none; what there was remains.
        """
        end = self.tell()
        size = end + need + min(max(self.size, FIRST), _MOST)
        size += -size % mmap.PAGESIZE
        _reserve(self._descriptor, self.size, size - self.size)
        memory = mmap.mmap(self._descriptor, size)
        memory.seek(end)
        self._memory = memory  # the former one ends with the last that looks at it, perhaps in another thread
        self.size = size
        self.write = memory.write

    def sync(self) -> None:
        """Have everything that was written on the disk.

        Raises:
            OSError: It could not be written; nothing may be taken for written any more.
        """
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Cut off what was reserved, and let go of the file."""
        self._end = self.tell()
        self.abandon(cut=True)

    def abandon(self, *, cut: bool = False) -> None:
        """Let go of the file as it is, as a forked child does."""
        self._end = self.tell()
        self.write = self._full
        self._memory = None
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                if cut:
                    os.ftruncate(descriptor, self._end)
            finally:
                os.close(descriptor)

    def _full(self, content: bytes) -> None:
        raise ValueError


def _reserve(descriptor: int, start: int, length: int) -> None:
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, start, length)
            return
        block = bytes(1 << 16)
        for offset in range(start, start + length, len(block)):
            if os.pwrite(descriptor, block[: start + length - offset], offset) < 1:
                raise OSError(28, os.strerror(28))
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, start)
        raise
