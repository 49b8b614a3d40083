"""`Publication`: which reports are about to be put in their places, so that who is killed meanwhile need not use force.

Several files cannot appear in one step. Before the first one does, it is noted beside the catalogue which file each of
them will be, in `NAME.reports`; when the last one has appeared, that goes. What is found at the next start is what a
survey that was killed had put there, if it is the very file that was noted, and nobody has written to it since.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

SUFFIX = ".reports"
_MARK = b'{"survey": "reports that are being published"}\n'
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST = 1 << 20
"""Bytes of a note that are read."""


class Publication:
    """The note of what is published together with a catalogue.

    Args:
        catalogue: The path of the catalogue.
    """

    def __init__(self, catalogue: str) -> None:
        self.path = catalogue + SUFFIX

    def unfinished(self) -> frozenset[str]:
        """Return the paths of reports that a survey which was killed put there, and that are as it left them."""
        with suppress(OSError, ValueError, TypeError):  # none there, or a damaged one
            descriptor = os.open(self.path, _FLAGS & ~os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # refused while somebody is publishing
                if _is_note(descriptor) and os.path.samestat(os.fstat(descriptor), os.lstat(self.path)):
                    lines = os.pread(descriptor, _MOST, 0).splitlines()[1:]
                    return frozenset(path for path, *noted in map(json.loads, lines) if _facts(path) == noted != [])
            finally:
                os.close(descriptor)
        return frozenset()

    @contextmanager
    def noted(self, drafts: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Note drafts with the paths that they will have, until the block is left without an error.

        Where that cannot be noted nothing is lost but that the next one needs force.
        """
        descriptor = self._written(b"".join(_line(path, draft) for path, draft in drafts))
        try:
            yield
            if descriptor is not None:
                with suppress(OSError):
                    os.unlink(self.path)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _written(self, lines: bytes) -> int | None:
        descriptor = None
        try:
            descriptor = os.open(self.path, _FLAGS, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_note(descriptor):  # somebody else's file has that name
                raise ValueError(self.path)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _MARK + lines, 0)
        except (OSError, ValueError):
            if descriptor is not None:
                os.close(descriptor)
            return None
        return descriptor


def _is_note(descriptor: int) -> bool:
    """Return whether an open file is a note of this user, or one that was only just begun."""
    found = os.fstat(descriptor)
    begun = os.pread(descriptor, len(_MARK), 0)
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and begun in (b"", _MARK)


def _line(path: str, draft: str) -> bytes:
    return json.dumps([path, *_facts(draft)]).encode() + b"\n"


def _facts(path: str) -> list[int]:
    """Return by what a file is known again that nobody has written to; nothing where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return []
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]
