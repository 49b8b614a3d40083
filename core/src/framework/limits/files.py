"""Reading the small files that the kernel writes anew whenever somebody looks."""

from __future__ import annotations

import os

SIZE = 1 << 16
"""Bytes read at once, more than any of these files has; the kernel gives them whole, except lists of many records."""

_MISSING = -1
_WHOLE = 2048
"""Bytes of a part up to which it is the last one: a page has at least 4096, and no record fills half of it."""


class Files:
    """Keeps each file open that it was asked for: reading again takes a fifth of opening, reading and closing.

    A file that cannot be read is empty: groups vanish, and root groups have no limits. What is missing is not looked
    for again until `close`. Not thread-safe.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._owner = os.getpid()

    def read(self, path: str) -> bytes:
        """Return what a file says now."""
        file = self._open.get(path)
        if file is None:
            file = self._open[path] = _opened(path)
        if file == _MISSING:
            return b""
        try:
            return os.pread(file, SIZE, 0)
        except OSError:  # its group was removed, or the process that it is about has ended
            return b""

    def read_all(self, path: str) -> bytes:
        """Return what a file of many records says now; `read` stops at the last one that fits into a page."""
        found = part = self.read(path)
        while len(part) > _WHOLE:
            part = os.pread(self._open[path], SIZE, len(found))
            found += part
        return found

    def renew(self) -> bool:
        """Close everything if this is a forked child, whose own /proc/self is another; return whether it is."""
        own = os.getpid()
        if self._owner == own:
            return False
        self.close()
        self._owner = own
        return True

    def close(self) -> None:
        """Close every file; asking for one opens it again."""
        found, self._open = self._open, {}
        for file in found.values():
            if file != _MISSING:
                os.close(file)

    def __del__(self) -> None:
        self.close()


def number(word: str | bytes) -> int:
    """Return a number; -1 for "max" and whatever else says that there is no limit."""
    try:
        return int(word)
    except ValueError:
        return -1


def value(content: bytes, name: bytes) -> int:
    """Return the number that follows a name at the begin of a line, up to 24 digits; -1 where there is none."""
    start = 0 if content.startswith(name) else content.find(b"\n" + name) + 1
    if not content.startswith(name, start):
        return -1
    words = content[start + len(name) : start + len(name) + 24].split(None, 1)
    return number(words[0]) if words else -1


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return _MISSING
