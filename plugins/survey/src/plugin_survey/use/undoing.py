"""`Undoing`: the way back from what an undo log says, which looks at what is there before it does anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any

from plugin_survey.use.copy import CHUNK, TEMPORARY, LeftError

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = b".survey-undo-"


class Undoing:
    """Brings back, name by name, what a log says was there."""

    def __init__(self) -> None:
        self._restored: dict[tuple[int, int], bytes] = {}

    def undo(self, deed: dict[str, Any]) -> str:
        """Bring back a file as a copy of the one that was kept, and return what was done about it.

        Raises:
            LeftError: The file that was kept has other content now, or something else is at the name: another file, or
                nothing where it was to be linked.
            OSError: The system refuses.
        """
        path, linked = deed["path"], deed["action"] == "hardlink"
        identity = deed["device"], deed["inode"]
        if linked:
            _sweep(deed)
        if _is_link(deed) if linked else not os.path.lexists(path):
            self._restore(deed, linked=linked, former=self._restored.get(identity))
            self._restored[identity] = path
            return "restored"
        if linked and not os.path.lexists(path):
            raise LeftError("it is missing; it was only to be linked")
        if not _has_content(deed):
            raise LeftError("another file has its name now")
        if _is_as_it_was(deed):  # its further names shall be links of it
            self._restored.setdefault(identity, path)
        return "was there"

    def _restore(self, deed: dict[str, Any], *, linked: bool, former: bytes | None) -> None:
        path = deed["path"]
        temporary = os.path.join(os.path.dirname(path), b"%s%x" % (_TEMPORARY, deed["inode"]))
        with suppress(FileNotFoundError):  # left by one who was killed
            os.unlink(temporary)
        try:
            if former is None:
                _copy(deed, temporary)
            else:
                os.link(former, temporary, follow_symlinks=False)
            if not linked:
                os.link(temporary, path, follow_symlinks=False)  # which, unlike renaming, replaces nothing
            elif _is_link(deed):  # still, after all the copying
                os.rename(temporary, path)
            else:
                raise LeftError("it was replaced meanwhile")
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def _is_link(deed: dict[str, Any]) -> bool:
    """Return whether the name is a link of the file that was kept."""
    try:
        return os.path.samestat(os.lstat(deed["path"]), os.lstat(deed["kept"]))
    except FileNotFoundError:
        return False


def _sweep(deed: dict[str, Any]) -> None:
    """Remove the link under a temporary name that is left where the linking was killed."""
    temporary = {**deed, "path": os.path.join(os.path.dirname(deed["path"]), b"%s%x" % (TEMPORARY, deed["inode"]))}
    if _is_link(temporary):
        os.unlink(temporary["path"])


def _has_content(deed: dict[str, Any]) -> bool:
    if not stat.S_ISREG(os.lstat(deed["path"]).st_mode):
        return False
    descriptor = os.open(deed["path"], _READ)
    try:
        return bool(_digest(descriptor) == deed["digest"])
    finally:
        os.close(descriptor)


def _is_as_it_was(deed: dict[str, Any]) -> bool:
    found = os.lstat(deed["path"])
    now = (found.st_mode & 0o7777, found.st_uid, found.st_gid, found.st_mtime_ns)
    return now == tuple(deed[key] for key in ("mode", "uid", "gid", "mtime_ns"))


def _digest(descriptor: int, each: Callable[[bytes], object] = len) -> str:
    """Return the SHA-256 of an open file, and give each piece of it to somebody else as well."""
    digest = sha256()
    while chunk := os.read(descriptor, CHUNK):
        digest.update(chunk)
        each(chunk)
    return digest.hexdigest()


def _copy(deed: dict[str, Any], target: bytes) -> None:
    try:
        source = os.open(deed["kept"], _READ)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise LeftError(f"the file that was kept cannot be opened: {reason}") from error
    try:
        copy = os.open(target, _WRITE, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode) or _digest(source, partial(_write, copy)) != deed["digest"]:
                raise LeftError("the file that was kept has other content now")
            os.ftruncate(copy, deed["size"])  # a hole at its end
            if (os.geteuid(), os.getegid()) != (deed["uid"], deed["gid"]):
                os.fchown(copy, deed["uid"], deed["gid"])
            os.fchmod(copy, deed["mode"])
            os.utime(copy, ns=(deed["atime_ns"], deed["mtime_ns"]))
            os.fsync(copy)
        finally:
            os.close(copy)
    finally:
        os.close(source)


def _write(descriptor: int, chunk: bytes) -> None:
    if chunk.count(0) == len(chunk):  # a hole may take no space again
        os.lseek(descriptor, len(chunk), os.SEEK_CUR)
        return
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]
