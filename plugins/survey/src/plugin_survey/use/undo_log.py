r"""The log of what `duplicates --apply` is about to do, and the way back.

It is JSON, a line for each name, written and synchronised before the first of its group is touched: `action` (`delete`
or `hardlink`), `path`, `kept`, `size`, `digest` (SHA-256, hex), `mode`, `uid`, `gid`, `atime_ns`, `mtime_ns`, and
`device` and `inode` that the name had. A path is a mapping with `path`, and `path_bytes` (base64) unless it is UTF-8.
A line does not say that the deed was done: the way back looks at what is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.reporting.report import path_entry
from plugin_survey.use.guarding import locked
from plugin_survey.use.reader import path_from

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

BLOCK = 1 << 16
"""Bytes of a log that are read at once."""


class Deed(NamedTuple):
    """What is about to be done to one name, and what is needed to undo it."""

    action: str
    path: bytes
    kept: bytes
    digest: bytes
    found: os.stat_result


class UndoLog:
    """A log being written. The file is made with the first deed, and is never one that exists.

    Args:
        path: Where it goes.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.written = False
        self._descriptor: int | None = None

    def write(self, deeds: Sequence[Deed]) -> None:
        """Append deeds, and wait until the disk has them.

        Raises:
            ResourceUnavailableError: It cannot be written; then nothing may be done.
        """
        text = "".join(json.dumps(_entry(deed)) + "\n" for deed in deeds).encode()
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, _WRITE | os.O_APPEND, 0o600)
                self.written = True
                _synchronise(os.path.dirname(os.path.abspath(self.path)))
            while text:
                text = text[os.write(self._descriptor, text) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise ResourceUnavailableError(
                f"The undo log {self.path!r} cannot be written: {os.strerror(error.errno or 0)}; nothing more is done.",
                "Make room, or choose another place with --log.",
                resource=self.path,
            ) from error

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_log(path: str) -> Iterator[dict[str, Any]]:
    """Yield the deeds of a log, the last one first; a last line that was cut off was followed by no deed.

    The log is locked until the last one was taken, so that two who undo the same are not in each other's way.

    Raises:
        InvalidRequestError: It is no such log, or cannot be read.
        ResourceUnavailableError: Somebody else is undoing it.
    """
    try:
        with locked(path), open(path, "rb") as file:
            yield from (_deed(path, line) for line in lines_backwards(file))
    except BlockingIOError as error:
        raise ResourceUnavailableError(
            f"Somebody else is undoing {path!r} now.", "Wait until that ends.", resource=path
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InvalidRequestError(f"The undo log {path!r} cannot be read: {reason}.", "Check the spelling.") from error


def lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """Yield the whole lines of a file without their ends, the last one first, with `BLOCK` bytes of it in memory."""
    end = file.seek(0, os.SEEK_END)
    rest = b""
    whole = False  # what comes after the last line break is not
    while end:
        start = max(0, end - BLOCK)
        file.seek(start)
        rest, *lines = (file.read(end - start) + rest).split(b"\n")
        for line in reversed(lines):
            if whole:
                yield line
            whole = True
        end = start
    if whole:
        yield rest


def _deed(log: str, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        entry = {**entry, "path": path_from(entry["path"]), "kept": path_from(entry["kept"])}
        entry = {key: entry[key] for key in _KEYS}
        if not all(isinstance(entry[key], kind) for key, kind in _KEYS.items()):
            raise ValueError("a value is of another sort")
        if not all(entry[key].startswith(b"/") and b"\0" not in entry[key] for key in ("path", "kept")):
            raise ValueError("a path is none")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequestError(f"{log!r} is not an undo log of a survey.", "Check the spelling.") from error
    return entry


_KEYS = {
    **dict.fromkeys(("action", "digest"), str),
    **dict.fromkeys(("path", "kept"), bytes),
    **dict.fromkeys(("size", "mode", "uid", "gid", "atime_ns", "mtime_ns", "device", "inode"), int),
}


def _synchronise(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(deed: Deed) -> dict[str, Any]:
    found = deed.found
    return {
        "action": deed.action,
        "path": path_entry(deed.path),
        "kept": path_entry(deed.kept),
        "size": found.st_size,
        "digest": deed.digest.hex(),
        "mode": found.st_mode & 0o7777,
        "uid": found.st_uid,
        "gid": found.st_gid,
        "atime_ns": found.st_atime_ns,
        "mtime_ns": found.st_mtime_ns,
        "device": found.st_dev,
        "inode": found.st_ino,
    }
