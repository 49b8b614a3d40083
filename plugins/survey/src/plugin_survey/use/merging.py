"""Deletes duplicates, or makes them hard links of the file that is kept, after having compared them byte by byte.

Of each group one file is held open from before the first deed until after the last. What is to go is compared with it,
and each name is looked at once more directly before it is touched, as is the name of what is kept. A link takes the
place of a name in one step (link to a temporary name, rename over), so that at no moment a name is missing. Who is
killed in between leaves at most that temporary name, one more link of the file that was kept, which is used next time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from plugin_survey.use.copy import TEMPORARY, Copy, Equal, LeftError, held, same_content
from plugin_survey.use.keep import split
from plugin_survey.use.undo_log import Deed, UndoLog

DELETE, HARDLINK, KEEP, LEFT = "delete", "hardlink", "keep", "left"
DONE = {DELETE: "deleted", HARDLINK: "linked"}


class Step(NamedTuple):
    """What is, or would be, done with one name: `keep`, `delete`, `hardlink`, `deleted`, `linked`, or `left`."""

    action: str
    path: bytes
    size: int
    note: str = ""


class Merger:
    """Treats groups of equal files one by one.

    Args:
        action: `DELETE` or `HARDLINK`.
        rule: Which file is kept, one of `keep.RULES`.
        log: Where each deed is written before it is done; None to only tell what would be done.
    """

    def __init__(self, action: str, rule: str, log: UndoLog | None) -> None:
        self._action = action
        self._rule = rule
        self._log = log

    def steps(self, group: Equal) -> Iterator[Step]:
        """Yield what becomes of each name, after it was done.

        Raises:
            ResourceUnavailableError: The undo log cannot be written.
        """
        kept, others = split(group, self._rule)
        try:
            with held(kept) as keeper:
                for name in kept.names:
                    yield Step(KEEP, name, group.size)
                for other in others:
                    yield from self._treat(kept, keeper, other, group.digest)
        except LeftError as error:
            for copy in (kept, *others):
                note = (
                    f"{error}; nothing of its group is touched" if copy is kept else "the one to be kept is not there"
                )
                yield from _left(copy, note)

    def _treat(self, kept: Copy, keeper: int, other: Copy, digest: bytes) -> Iterator[Step]:
        try:
            with held(other) as descriptor:
                self._check(keeper, descriptor)
                note = self._difference(keeper, descriptor)
                if self._log is None:
                    for name in other.names:
                        yield Step(self._action, name, other.size, note)
                    return
                if not same_content(keeper, descriptor):
                    raise LeftError(
                        "its content differs from the one that is kept, although the survey found them equal"
                    )
                found = os.fstat(descriptor)
                self._log.write([Deed(self._action, name, kept.names[0], digest, found) for name in other.names])
                for name in other.names:
                    yield self._do(kept.names[0], keeper, name, found, note)
        except LeftError as error:
            yield from _left(other, str(error))
        except OSError as error:
            yield from _left(other, f"it cannot be read: {os.strerror(error.errno or 0)}")

    def _check(self, keeper: int, descriptor: int) -> None:
        if os.path.samestat(os.fstat(keeper), os.fstat(descriptor)):
            raise LeftError("it is the kept file itself by another name")
        if self._action == HARDLINK and os.fstat(keeper).st_dev != os.fstat(descriptor).st_dev:
            raise LeftError("it is on another file system than the one that is kept, where no hard link reaches")

    def _difference(self, keeper: int, descriptor: int) -> str:
        """Return what else than the content differs, and would be lost."""
        kept, found = os.fstat(keeper), os.fstat(descriptor)
        parts = []
        if stat.S_IMODE(kept.st_mode) != stat.S_IMODE(found.st_mode):
            parts.append(f"mode {stat.S_IMODE(found.st_mode):04o}, kept {stat.S_IMODE(kept.st_mode):04o}")
        if (kept.st_uid, kept.st_gid) != (found.st_uid, found.st_gid):
            parts.append(f"owner {found.st_uid}:{found.st_gid}, kept {kept.st_uid}:{kept.st_gid}")
        return "; ".join(parts)

    def _do(self, kept: bytes, keeper: int, name: bytes, found: os.stat_result, note: str) -> Step:
        try:
            if self._action == DELETE:
                _look_again(kept, keeper, name, found)
                os.unlink(name)
            else:
                _link(kept, keeper, name, found)
        except LeftError as error:
            return Step(LEFT, name, found.st_size, str(error))
        except OSError as error:
            return Step(LEFT, name, found.st_size, f"the system refuses: {os.strerror(error.errno or 0)}")
        return Step(DONE[self._action], name, found.st_size, note)


def _left(copy: Copy, note: str) -> Iterator[Step]:
    for name in copy.names:
        yield Step(LEFT, name, copy.size, note)


def _look_again(kept: bytes, keeper: int, name: bytes, found: os.stat_result) -> None:
    """Compare what is at both names now with what was compared byte by byte."""
    try:
        if not os.path.samestat(os.lstat(kept), os.fstat(keeper)):
            raise LeftError("the one that is kept was replaced meanwhile")
        now = os.lstat(name)
    except FileNotFoundError as error:
        raise LeftError("one of both is missing now") from error
    if not os.path.samestat(now, found) or (now.st_size, now.st_mtime_ns) != (found.st_size, found.st_mtime_ns):
        raise LeftError("it was changed or replaced meanwhile")


def _link(kept: bytes, keeper: int, name: bytes, found: os.stat_result) -> None:
    temporary = os.path.join(os.path.dirname(name), b"%s%x" % (TEMPORARY, found.st_ino))
    with suppress(FileExistsError):  # perhaps left by one who was killed
        os.link(kept, temporary, follow_symlinks=False)
    if not os.path.samestat(os.lstat(temporary), os.fstat(keeper)):
        raise LeftError(f"something else is at {os.path.basename(temporary)!r}, or the one that is kept was replaced")
    try:
        _look_again(kept, keeper, name, found)
        os.rename(temporary, name)
    finally:
        with suppress(FileNotFoundError):  # unless it was renamed
            if os.path.samestat(os.lstat(temporary), os.fstat(keeper)):
                os.unlink(temporary)
