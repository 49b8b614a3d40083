"""Deletes duplicates, or makes them hard links of the file that is kept, after having compared them byte by byte.

Of each group one file is held open from before the first deed until after the last. What is to go is compared with it.
Then, while nobody can write to either, both are looked at once more, and so is each name directly before it is touched,
as is the name of what is kept. A link takes the place of a name in one step (link to a temporary name, rename over), so
that at no moment a name is missing. Who is killed in between leaves at most that temporary name, one more link of the
file that was kept, which is used next time, or the file that was to be deleted under the name that it had for a moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import NamedTuple

from plugin_survey.use.aside import set_aside
from plugin_survey.use.copy import TEMPORARY, Copy, Equal, LeftError, held, opened, same_content
from plugin_survey.use.guarding import claim, folder_of, unwritten
from plugin_survey.use.keep import split
from plugin_survey.use.undo_log import Deed, UndoLog

DELETE, HARDLINK, KEEP, LEFT = "delete", "hardlink", "keep", "left"
DONE = {DELETE: "deleted", HARDLINK: "linked"}


class Step(NamedTuple):
    """What is, or would be, done with one name: `keep`, `delete`, `hardlink`, `deleted`, `linked`, or `left`.

    `freed` is what that frees: the size of a file with the last of its names, and nothing before.
    """

    action: str
    path: bytes
    size: int
    note: str = ""
    freed: int = 0


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
                if self._log is not None:
                    claim(keeper, alone=False)
                for name in kept.names:
                    yield Step(KEEP, name, group.size)
                for other in others:
                    yield from self._treat(kept, keeper, other, group.digest)
        except LeftError as error:  # before any of the others
            for copy in chain((kept,), others):
                note = f"{error}; nothing of its group is touched" if copy is kept else "the one to be kept is left"
                yield from _left(copy, note)

    def _treat(self, kept: Copy, keeper: int, other: Copy, digest: bytes) -> Iterator[Step]:
        try:
            with held(other) as descriptor:
                self._check(keeper, descriptor)
                note = self._difference(keeper, descriptor)
                if self._log is None:
                    steps = [Step(self._action, name, other.size, note) for name in other.names]
                    yield from _counted(steps, os.fstat(descriptor))
                    return
                claim(descriptor, alone=True)
                with _equal(keeper, descriptor) as found:
                    self._log.write([Deed(self._action, name, kept.names[0], digest, found) for name in other.names])
                    yield from _counted(
                        (self._do(kept.names[0], keeper, name, found, note) for name in other.names), found
                    )
        except LeftError as error:
            yield from _left(other, str(error))
        except OSError as error:
            yield from _left(other, f"it, or the one that is kept, cannot be read: {os.strerror(error.errno or 0)}")

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
        if other := sorted(name for name, _ in _attributes(descriptor) ^ _attributes(keeper)):
            parts.append(f"extended attributes {', '.join(map(repr, dict.fromkeys(other)))}")
        if kept.st_dev != found.st_dev:
            parts.append("the one that is kept is on another file system")
        return "; ".join(parts)

    def _do(self, kept: bytes, keeper: int, name: bytes, found: os.stat_result, note: str) -> Step:
        try:
            with folder_of(name) as folder:
                target = _Target(folder, os.path.basename(name), found)
                (_delete if self._action == DELETE else _link)(kept, keeper, target)
        except LeftError as error:
            return Step(LEFT, name, found.st_size, str(error))
        except OSError as error:
            return Step(LEFT, name, found.st_size, f"the system refuses: {os.strerror(error.errno or 0)}")
        return Step(DONE[self._action], name, found.st_size, note)


def _attributes(descriptor: int) -> set[tuple[str, bytes]]:
    """Return the extended attributes of a file, among them access control lists and capabilities."""
    if not hasattr(os, "listxattr"):  # not Linux
        return set()
    try:
        return {(name, os.getxattr(descriptor, name)) for name in os.listxattr(descriptor)}
    except OSError:  # none there, or not for us
        return set()


class _Target(NamedTuple):
    """A name that is to go, in the open folder that it is in, and what was compared byte by byte under it."""

    folder: int
    name: bytes
    found: os.stat_result


def _counted(steps: Iterable[Step], found: os.stat_result) -> Iterator[Step]:
    """Yield steps with all names of a file, each as soon as it is done, and count what they free."""
    further = found.st_nlink
    for step in steps:
        further -= step.action != LEFT
        yield step if further else step._replace(freed=found.st_size)


def _left(copy: Copy, note: str) -> Iterator[Step]:
    for name in copy.names:
        yield Step(LEFT, name, copy.size, note)


@contextmanager
def _equal(keeper: int, descriptor: int) -> Iterator[os.stat_result]:
    """Give what the system says of a file that is equal to the one that is kept, and hold both as they are.

    Raises:
        LeftError: It is not equal, or somebody writes to one of them.
        OSError: One cannot be read, or the one that is kept cannot be brought to the disk.
    """
    before = os.fstat(keeper), os.fstat(descriptor)
    if not same_content(keeper, descriptor):
        raise LeftError("its content differs from the one that is kept, although the survey found them equal")
    os.fsync(keeper)  # soon it is the only one
    with unwritten(keeper, descriptor):
        if any(map(_changed, before, (os.fstat(keeper), os.fstat(descriptor)))):
            raise LeftError("it, or the one that is kept, was changed while they were compared")
        yield before[1]


def _changed(before: os.stat_result, now: os.stat_result) -> bool:
    return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (before.st_size, before.st_mtime_ns, before.st_ctime_ns)


def _look_again(kept: bytes, keeper: int, target: _Target) -> None:
    """Compare what is at both names now with what was compared byte by byte."""
    try:
        if not os.path.samestat(os.lstat(kept), os.fstat(keeper)):
            raise LeftError("the one that is kept was replaced meanwhile")
        _check_unchanged(target.name, target)
    except FileNotFoundError as error:
        raise LeftError("one of both is missing now") from error


def _check_unchanged(name: bytes, target: _Target) -> None:
    now, found = os.lstat(name, dir_fd=target.folder), target.found
    if not os.path.samestat(now, found) or (now.st_size, now.st_mtime_ns) != (found.st_size, found.st_mtime_ns):
        raise LeftError("it was changed or replaced meanwhile")


def _delete(kept: bytes, keeper: int, target: _Target) -> None:
    _look_again(kept, keeper, target)
    with set_aside(target.folder, target.name, target.found.st_ino) as aside:
        _check_unchanged(aside, target)
        _check_independent(kept, keeper, target, aside)
        os.unlink(aside, dir_fd=target.folder)


def _check_independent(kept: bytes, keeper: int, target: _Target, aside: bytes) -> None:
    """Look whether what is kept is there without the name that is to go.

    Raises:
        LeftError: It is the same file by another way.
    """
    folder = os.path.dirname(kept)
    # a network file system may remember for seconds what was at a name: not at one that was never asked for
    if not os.path.samestat(os.stat(folder), os.fstat(target.folder)) and os.path.lexists(os.path.join(folder, aside)):
        raise LeftError("it is in the folder of the one that is kept, which is shown twice")
    try:
        with opened(kept) as descriptor:
            same = os.path.samestat(os.fstat(descriptor), os.fstat(keeper))
    except LeftError as error:
        raise LeftError(f"without it the one that is kept is not there ({error}): they are one file") from error
    if not same:
        raise LeftError("the one that is kept was replaced meanwhile")


def _link(kept: bytes, keeper: int, target: _Target) -> None:
    temporary = b"%s%x" % (TEMPORARY, target.found.st_ino)
    made = False
    try:
        with suppress(FileExistsError):  # perhaps left by one who was killed
            os.link(kept, temporary, dst_dir_fd=target.folder, follow_symlinks=False)
            made = True
        if not _is_at(temporary, target.folder, keeper):
            raise LeftError(f"something else is at {os.fsdecode(temporary)!r}, or the one that is kept was replaced")
        _look_again(kept, keeper, target)
        os.rename(temporary, target.name, src_dir_fd=target.folder, dst_dir_fd=target.folder)
    finally:
        with suppress(FileNotFoundError):  # unless it was renamed
            if made or _is_at(temporary, target.folder, keeper):
                os.unlink(temporary, dir_fd=target.folder)


def _is_at(name: bytes, folder: int, keeper: int) -> bool:
    return os.path.samestat(os.lstat(name, dir_fd=folder), os.fstat(keeper))
