"""Undoes one thing that a process left behind, after making sure that it is the thing that the journal means.

What lies at a path may have been put there by somebody else since. So no symbolic link is followed on the way, and the
thing must be of this user, of the right sort, and show the mark that its lease gave it; otherwise it is left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

from framework.journal import Target
from framework.records import Recovery

MARK = "user.framework.lease"
"""The extended attribute that says which lease a file or directory is of."""

_WAY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", 0)
_SORTS = {
    Recovery.UNLINK: (stat.S_ISREG, stat.S_ISSOCK, stat.S_ISFIFO),
    Recovery.RMTREE: (stat.S_ISDIR,),
    Recovery.RMDIR: (stat.S_ISDIR,),
}


class NotOursError(Exception):
    """What is there is not what the lease had made, which is gone, then."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: an open directory, and its name in there."""

    directory: int
    name: str
    found: os.stat_result


def undo(target: Target, token: str, deadline: float) -> bool:
    """Remove a file, a directory or a control group; false if it is gone already.

    Args:
        target: What the journal says.
        token: Of the lease.
        deadline: When to give up, by `time.monotonic`.

    Raises:
        NotOursError: Something else is there.
        OSError: It cannot be removed.
    """
    with _place(target.path) as place:
        if place is None:
            return False
        _check(target, place, token)
        if target.verb is Recovery.UNLINK:
            os.unlink(place.name, dir_fd=place.directory)
        elif target.verb is Recovery.RMTREE:
            _remove_tree(place, deadline)
        else:
            _remove_group(target.path, deadline)
        return True


@contextlib.contextmanager
def _place(path: str) -> Iterator[Place | None]:
    """Give the place of a path, reached without following a link; nothing if it is not there.

    Raises:
        NotOursError: A link is on the way.
    """
    *parents, name = path.strip("/").split("/")
    directory = os.open("/", _WAY)
    try:
        for part in parents:
            inner = os.open(part, _WAY, dir_fd=directory)
            os.close(directory)
            directory = inner
        yield Place(directory, name, os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:
        yield None
    except NotADirectoryError as error:
        msg = f"there is a link on the way to {path!r}"
        raise NotOursError(msg) from error
    finally:
        os.close(directory)


def _check(target: Target, place: Place, token: str) -> None:
    found, path = place.found, target.path
    if not any(fits(found.st_mode) for fits in _SORTS[target.verb]):
        raise NotOursError(f"what is at {path!r} now is of another sort")
    if found.st_uid != os.geteuid():
        raise NotOursError(f"what is at {path!r} now belongs to user {found.st_uid}")
    sort, _, said = target.proof.partition(":")
    if sort == "inode":
        right = said == f"{found.st_dev}:{found.st_ino}"
    elif sort == "mark":
        right = said == _mark(place)
    else:
        right = not target.proof and token in place.name
    if not right:
        raise NotOursError(f"what is at {path!r} now is another's")


def _mark(place: Place) -> str:
    try:
        raw = os.getxattr(f"/proc/self/fd/{place.directory}/{place.name}", MARK, follow_symlinks=False)
    except OSError:
        return ""
    return raw.decode("ascii", "replace")


def _remove_tree(place: Place, deadline: float) -> None:
    """Remove a directory with all that is in it, from within, so that nobody can redirect it."""
    for _, folders, files, directory in os.fwalk(place.name, topdown=False, dir_fd=place.directory, onerror=_raise):
        for file in files:
            os.unlink(file, dir_fd=directory)
        for folder in folders:
            _remove_folder(folder, directory)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{place.name!r} is larger than there was time for")
    os.rmdir(place.name, dir_fd=place.directory)


def _remove_folder(folder: str, directory: int) -> None:
    try:
        os.rmdir(folder, dir_fd=directory)
    except NotADirectoryError:  # a link to a directory
        os.unlink(folder, dir_fd=directory)


def _raise(error: OSError) -> None:
    raise error


def _remove_group(path: str, deadline: float) -> None:
    """Empty a control group and those inside it, and remove them; the innermost first."""
    for place, _, _ in os.walk(path, topdown=False):
        while True:
            _end_members(place)
            try:
                os.rmdir(place)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _end_members(group: str) -> None:
    with contextlib.suppress(OSError), open(os.path.join(group, "cgroup.kill"), "w", encoding="ascii") as file:
        file.write("1")  # version 2, Linux 5.14 and later: all at once
        return
    with contextlib.suppress(OSError), open(os.path.join(group, "cgroup.procs"), encoding="ascii") as file:
        for pid in file.read().split():
            with contextlib.suppress(OSError):
                descriptor = os.pidfd_open(int(pid))
                try:
                    if _is_member(int(pid), group):  # the number may be another's since
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                finally:
                    os.close(descriptor)


def _is_member(pid: int, group: str) -> bool:
    with open(os.path.join(group, "cgroup.procs"), encoding="ascii") as file:
        return str(pid) in file.read().split()
