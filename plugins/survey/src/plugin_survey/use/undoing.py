"""`Undoing`: the way back from what an undo log says, which looks at what is there before it does anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from plugin_survey.use.aside import aside_of, give_name, is_there
from plugin_survey.use.copy import CHUNK, TEMPORARY, LeftError
from plugin_survey.use.guarding import folder_of

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = b".survey-undo-"
_SPECIAL = stat.S_ISUID | stat.S_ISGID


class Undone(NamedTuple):
    """What was done about a name, `restored` or `was there`, and what is not as it was, for people."""

    action: str
    note: str = ""


class _Place(NamedTuple):
    """A name in its open folder."""

    folder: int
    name: bytes

    def stat(self) -> os.stat_result:
        return os.lstat(self.name, dir_fd=self.folder)

    def is_there(self) -> bool:
        return is_there(self.name, self.folder)

    def beside(self, name: bytes) -> _Place:
        return self._replace(name=name)

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.folder)


class Undoing:
    """Brings back, name by name, what a log says was there."""

    def __init__(self) -> None:
        self._restored: dict[tuple[int, int], bytes] = {}

    def undo(self, deed: dict[str, Any]) -> Undone:
        """Bring back a file as a copy of the one that was kept, and return what was done about it.

        Raises:
            LeftError: The file that was kept has other content now, or something else is at the name: another file, or
                nothing where it was to be linked; or its folder is missing.
            OSError: The system refuses.
        """
        with _place_of(deed["path"]) as place:
            return self._unlinked(deed, place) if deed["action"] == "hardlink" else self._undeleted(deed, place)

    def _unlinked(self, deed: dict[str, Any], place: _Place) -> Undone:
        _sweep(deed, place)
        if _is_link(deed, place):
            return self._restore(deed, place)
        if not place.is_there():
            raise LeftError("it is missing; it was only to be linked")
        return self._was_there(deed, place)

    def _undeleted(self, deed: dict[str, Any], place: _Place) -> Undone:
        temporary, aside = _temporary(deed, place), place.beside(aside_of(place.name, deed["inode"]))
        if place.is_there() and _is_reserved(deed, place, temporary, aside):
            place.remove()
        if place.is_there():
            return self._was_there(deed, place)
        if aside.is_there() and _has_content(deed, aside):  # left by one who was killed: it is the very file
            give_name(aside.folder, aside.name, place.name)
            self._restored.setdefault(_identity(deed), deed["path"])
            return Undone("restored")
        return self._restore(deed, place)

    def _was_there(self, deed: dict[str, Any], place: _Place) -> Undone:
        if not _has_content(deed, place):
            raise LeftError("another file has its name now")
        if _is_as_it_was(deed, place):  # its further names shall be links of it
            self._restored.setdefault(_identity(deed), deed["path"])
        return Undone("was there")

    def _restore(self, deed: dict[str, Any], place: _Place) -> Undone:
        temporary, former, note = _temporary(deed, place), self._restored.get(_identity(deed)), ""
        temporary.remove()  # left by one who was killed
        try:
            if former is None or not _link(former, temporary):
                note = _copy(deed, temporary)
            if deed["action"] != "hardlink":
                give_name(place.folder, temporary.name, place.name)
            elif _is_link(deed, place):  # still, after all the copying
                os.rename(temporary.name, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            else:
                raise LeftError("it was replaced meanwhile")
        finally:
            temporary.remove()
        self._restored[_identity(deed)] = deed["path"]
        return Undone("restored", note)


@contextmanager
def _place_of(path: bytes) -> Iterator[_Place]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(folder_of(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise LeftError("the folder that it was in is missing") from error
        yield _Place(folder, os.path.basename(path))


def _identity(deed: dict[str, Any]) -> tuple[int, int]:
    return deed["device"], deed["inode"]


def _temporary(deed: dict[str, Any], place: _Place) -> _Place:
    return place.beside(b"%s%x" % (_TEMPORARY, deed["inode"]))


def _is_link(deed: dict[str, Any], place: _Place) -> bool:
    """Return whether the name is a link of the file that was kept."""
    try:
        return os.path.samestat(place.stat(), os.lstat(deed["kept"]))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _link(former: bytes, target: _Place) -> bool:
    """Return whether a further name of the same file could be made; a copy will do as well."""
    try:
        os.link(former, target.name, dst_dir_fd=target.folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _is_reserved(deed: dict[str, Any], place: _Place, *drafts: _Place) -> bool:
    """Return whether the name has only the empty file of one who was killed before the file itself got it."""
    found = place.stat()
    empty = stat.S_ISREG(found.st_mode) and found.st_size == 0 < deed["size"]
    return empty and any(draft.is_there() for draft in drafts)


def _sweep(deed: dict[str, Any], place: _Place) -> None:
    """Remove the link under a temporary name that is left where the linking was killed."""
    temporary = place.beside(b"%s%x" % (TEMPORARY, deed["inode"]))
    if _is_link(deed, temporary):
        temporary.remove()


def _has_content(deed: dict[str, Any], place: _Place) -> bool:
    if not stat.S_ISREG(place.stat().st_mode):
        return False
    descriptor = os.open(place.name, _READ, dir_fd=place.folder)
    try:
        return bool(_digest(descriptor) == deed["digest"])
    finally:
        os.close(descriptor)


def _is_as_it_was(deed: dict[str, Any], place: _Place) -> bool:
    found = place.stat()
    now = (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns)
    return now == tuple(deed[key] for key in ("mode", "uid", "gid", "size", "mtime_ns"))


def _digest(descriptor: int, each: Callable[[bytes], object] = len) -> str:
    """Return the SHA-256 of an open file, and give each piece of it to somebody else as well."""
    digest = sha256()
    while chunk := os.read(descriptor, CHUNK):
        digest.update(chunk)
        each(chunk)
    return digest.hexdigest()


def _copy(deed: dict[str, Any], target: _Place) -> str:
    """Make a copy of the file that was kept, and return what could not be made as it was."""
    try:
        source = os.open(deed["kept"], _READ)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise LeftError(f"the file that was kept cannot be opened: {reason}") from error
    try:
        copy = os.open(target.name, _WRITE, 0o600, dir_fd=target.folder)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode) or _digest(source, partial(_write, copy)) != deed["digest"]:
                raise LeftError("the file that was kept has other content now")
            os.ftruncate(copy, deed["size"])  # a hole at its end
            note = _dress(deed, copy)
            os.fsync(copy)
        finally:
            os.close(copy)
    finally:
        os.close(source)
    return note


def _dress(deed: dict[str, Any], copy: int) -> str:
    """Give a file its owner, mode and times again, and return what could not be: the content counts more."""
    found, note, mode = os.fstat(copy), "", deed["mode"]
    if (found.st_uid, found.st_gid) != (deed["uid"], deed["gid"]):
        try:
            os.fchown(copy, deed["uid"], deed["gid"])
        except OSError as error:
            note = f"its owner {deed['uid']}:{deed['gid']} cannot be given back: {os.strerror(error.errno or 0)}"
            mode &= ~_SPECIAL  # which would give the rights of another one
    os.fchmod(copy, mode)
    os.utime(copy, ns=(deed["atime_ns"], deed["mtime_ns"]))
    return note


def _write(descriptor: int, chunk: bytes) -> None:
    if chunk.count(0) == len(chunk):  # a hole may take no space again
        os.lseek(descriptor, len(chunk), os.SEEK_CUR)
        return
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]
