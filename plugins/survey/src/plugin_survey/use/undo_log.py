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
from hashlib import sha256
from typing import Any, NamedTuple

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.reporting.report import path_entry
from plugin_survey.use.copy import CHUNK, LeftError
from plugin_survey.use.reader import path_from

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = b".survey-undo-"


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

    Raises:
        InvalidRequestError: It is no such log, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")[:-1]
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InvalidRequestError(f"The undo log {path!r} cannot be read: {reason}.", "Check the spelling.") from error
    for line in reversed(lines):
        try:
            entry = json.loads(line)
            entry = {**entry, "path": path_from(entry["path"]), "kept": path_from(entry["kept"])}
            entry = {key: entry[key] for key in _KEYS}
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequestError(f"{path!r} is not an undo log of a survey.", "Check the spelling.") from error
        yield entry


class Undoing:
    """Brings back, name by name, what a log says was there."""

    def __init__(self) -> None:
        self._restored: dict[tuple[int, int], bytes] = {}

    def undo(self, deed: dict[str, Any]) -> str:
        """Bring back a file as a copy of the one that was kept, and return what was done about it.

        Raises:
            LeftError: The file that was kept has other content now, or the name was to be linked and is missing.
            OSError: The system refuses.
        """
        path, linked = deed["path"], deed["action"] == "hardlink"
        if os.path.lexists(path):
            if not linked or not os.path.lexists(deed["kept"]) or not os.path.samestat(*_both(deed)):
                return "was there"
        elif linked:
            raise LeftError("it is missing; it was only to be linked")
        temporary = os.path.join(os.path.dirname(path), b"%s%x" % (_TEMPORARY, deed["inode"]))
        former = self._restored.get((deed["device"], deed["inode"]))
        try:
            if former is None:
                _copy(deed, temporary)
            else:
                os.link(former, temporary, follow_symlinks=False)
            if linked:
                os.rename(temporary, path)
            else:
                os.link(temporary, path, follow_symlinks=False)  # which, unlike renaming, replaces nothing
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)
        self._restored[deed["device"], deed["inode"]] = path
        return "restored"


_KEYS = ("action", "path", "kept", "size", "digest", "mode", "uid", "gid", "atime_ns", "mtime_ns", "device", "inode")


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


def _both(deed: dict[str, Any]) -> tuple[os.stat_result, os.stat_result]:
    return os.lstat(deed["path"]), os.lstat(deed["kept"])


def _copy(deed: dict[str, Any], target: bytes) -> None:
    digest = sha256()
    source = os.open(deed["kept"], _READ)
    try:
        copy = os.open(target, _WRITE, 0o600)
        try:
            while chunk := os.read(source, CHUNK):
                digest.update(chunk)
                while chunk:
                    chunk = chunk[os.write(copy, chunk) :]
            if digest.hexdigest() != deed["digest"]:
                raise LeftError("the file that was kept has other content now")
            if (os.geteuid(), os.getegid()) != (deed["uid"], deed["gid"]):
                os.fchown(copy, deed["uid"], deed["gid"])
            os.fchmod(copy, deed["mode"])
            os.utime(copy, ns=(deed["atime_ns"], deed["mtime_ns"]))
            os.fsync(copy)
        finally:
            os.close(copy)
    finally:
        os.close(source)
