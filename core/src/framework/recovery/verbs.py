"""Undoes one thing that a process left behind, after making sure that it is the thing that the journal means.

What lies at a path may have been put there by somebody else since. So no symbolic link is followed on the way, and the
thing must be of this user, of the right sort, and show the mark that its lease gave it; otherwise it is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import time
from dataclasses import dataclass

from framework.journal import Target
from framework.records import Recovery

MARK = "user.framework.lease"
"""The extended attribute that says which lease a file or directory is of."""

PATIENCE = 2.0
"""Seconds that the members of a control group may take to end: one lease must not keep up the others."""

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WAY = _FOLDER | getattr(os, "O_PATH", 0)
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP}
"""What opening a symbolic link as a directory says."""
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


def undo(target: Target, token: str, deadline: float, *, dry_run: bool = False) -> bool:
    """Remove a file, a directory or a control group; false if it is gone already.

    Args:
        target: What the journal says.
        token: Of the lease.
        deadline: When to give up, by `time.monotonic`.
        dry_run: Only look whether it would be removed.

    Raises:
        NotOursError: Something else is there.
        OSError: It cannot be removed, or not be looked for.
    """
    with contextlib.ExitStack() as stack:
        try:
            place = _place(target.path, stack)
        except FileNotFoundError:
            return False
        _check(target, place, token)
        if dry_run:
            return True
        try:
            _remove(target, place, deadline)
        except FileNotFoundError:  # somebody else was faster
            return False
    return True


def _place(path: str, stack: contextlib.ExitStack) -> Place:
    """Return the place of a path, reached without following a link.

    Raises:
        FileNotFoundError: There is nothing.
        OSError: A link is on the way.
    """
    *parents, name = path.strip("/").split("/")
    directory = os.open("/", _WAY)
    try:
        for part in parents:
            inner = os.open(part, _WAY, dir_fd=directory)
            os.close(directory)
            directory = inner
    except OSError as error:
        os.close(directory)
        if error.errno in _NO_FOLDER:
            raise OSError(error.errno, f"there is a link, or a file, on the way to {path!r}") from error
        raise
    stack.callback(os.close, directory)
    return Place(directory, name, os.stat(name, dir_fd=directory, follow_symlinks=False))


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
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP, errno.ENOENT}:
            return ""
        raise  # whose it is cannot be told now
    return raw.decode("ascii", "replace")


def _remove(target: Target, place: Place, deadline: float) -> None:
    if target.verb is Recovery.UNLINK:
        os.unlink(place.name, dir_fd=place.directory)
    elif target.verb is Recovery.RMTREE:
        _remove_tree(place, deadline)
    else:
        _remove_group(target.path, min(deadline, time.monotonic() + PATIENCE))


def _remove_tree(place: Place, deadline: float) -> None:
    """Remove a directory with all that is in it, from within, so that nobody can redirect it."""
    directory = _entered(place.name, place.directory)
    try:
        if not os.path.samestat(os.fstat(directory), place.found):
            raise NotOursError(f"{place.name!r} was replaced just now")
        _empty(directory, (place.found.st_dev, _mount(place.directory)), deadline)
    finally:
        os.close(directory)
    os.rmdir(place.name, dir_fd=place.directory)


def _empty(directory: int, home: tuple[int, str], deadline: float) -> None:
    if (os.fstat(directory).st_dev, _mount(directory)) != home:
        raise OSError(errno.EXDEV, "another file system is mounted in it")
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if time.monotonic() > deadline:
            raise TimeoutError("it is larger than there was time for")
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            if not is_folder:
                os.unlink(name, dir_fd=directory)
                continue
            inner = _entered(name, directory)
            try:
                _empty(inner, home, deadline)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=directory)


def _mount(directory: int) -> str:
    """Return which mount a directory is on, or nothing where the system does not tell.

    Its device does not say: another part of the same file system may be mounted there.
    """
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{directory}", encoding="ascii") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")
    return ""


def _entered(name: str, directory: int) -> int:
    """Return a descriptor of a directory that may be read and changed, which it is made if need be."""
    way = os.open(name, _WAY, dir_fd=directory)
    try:
        if stat.S_IMODE(os.fstat(way).st_mode) & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{way}" if hasattr(os, "O_PATH") else way, 0o700)
        return os.open(name, os.O_RDONLY | _FOLDER, dir_fd=directory)
    finally:
        os.close(way)


def _remove_group(path: str, deadline: float) -> None:
    """Empty a control group and those inside it, and remove them; the innermost first."""
    for place, _, _ in os.walk(path, topdown=False):
        while True:
            _end_members(place)
            try:
                os.rmdir(place)
                break
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _end_members(group: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(os.path.join(group, "cgroup.kill"), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"1")  # version 2, Linux 5.14 and later: all at once
            return
        finally:
            os.close(descriptor)
    for pid in _members(group):
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(int(pid))
            try:
                if pid in _members(group):  # the number may be another's since
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


def _members(group: str) -> set[str]:
    with contextlib.suppress(OSError), open(os.path.join(group, "cgroup.procs"), encoding="ascii") as file:
        return set(file.read().split())
    return set()
