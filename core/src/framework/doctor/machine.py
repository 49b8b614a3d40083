"""What this machine offers to the framework, and what is done where something is missing."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from framework import directories, filesystems, journal, limits
from framework.errors import FrameworkError
from framework.recovery import journals
from framework.recovery.verbs import MARK

_CGROUPS = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that the machine has or lacks; the note says what follows from it."""

    name: str
    value: str
    ok: bool
    note: str = ""


def facts() -> list[Fact]:
    """Return what matters of this machine. Nothing is changed by asking."""
    return [
        _python(),
        Fact("system", f"{platform.system()} {platform.release()}", sys.platform == "linux", _unless_linux()),
        _offer("pidfd", _pidfd, "children are waited for by number"),
        _offer("memfd", _memfd, "memory without a name is a file that was removed"),
        _offer("O_TMPFILE", _nameless, "a file has a hidden name of its lease's before it gets its own"),
        _offer(
            "extended attributes", _marked, "a file with a name of one's own cannot be marked, and stays after kill -9"
        ),
        _cgroup(),
        _shared_memory(),
        *(
            _directory(name, ask)
            for name, ask in (("state", directories.state_path), ("cache", directories.cache_path))
        ),
        _journal(),
        _descriptors(),
    ]


def _python() -> Fact:
    fits = (3, 11) <= sys.version_info[:2] < (3, 14) and platform.python_implementation() == "CPython"
    value = f"{platform.python_implementation()} {platform.python_version()}"
    return Fact("python", value, fits, "" if fits else "CPython 3.11 to 3.13 is tested.")


def _unless_linux() -> str:
    return "" if sys.platform == "linux" else "Linux is promised; elsewhere what is missing is left out."


def _offer(name: str, attempt: Callable[[], int], instead: str) -> Fact:
    try:
        os.close(attempt())
    except (OSError, AttributeError) as error:  # AttributeError: this system, or this Python, does not know it
        why = error.strerror if isinstance(error, OSError) else "not offered by this system"
        return Fact(name, "no", ok=False, note=f"{why}; {instead}.")
    return Fact(name, "yes", ok=True)


def _pidfd() -> int:
    return os.pidfd_open(os.getpid())


def _memfd() -> int:
    return os.memfd_create("framework")


def _nameless() -> int:
    return os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR, 0o600)


def _marked() -> int:
    with tempfile.TemporaryFile() as file:
        os.setxattr(file.fileno(), MARK, b"x")
        return os.dup(file.fileno())


def _cgroup() -> Fact:
    if not os.path.isdir(_CGROUPS):
        return Fact(
            "cgroup", "none", ok=False, note="Limits of memory and processes are set per process, or not at all."
        )
    if not os.path.exists(f"{_CGROUPS}/cgroup.controllers"):
        offered = [one for one in ("memory", "pids", "cpu") if os.access(_own_group(one, unified=False), os.W_OK)]
        note = "" if offered else "Its groups are not ours to write: limits are set per process."
        value = f"1: {', '.join(offered)}" if offered else "1"
        return Fact("cgroup", value, bool(offered), note)
    own = _own_group(unified=True)
    may = os.access(f"{own}/cgroup.procs", os.W_OK)
    note = "" if may else f"{own} is not ours to write: limits are set per process."
    return Fact("cgroup", "2", may, note)


def _own_group(controller: str = "", *, unified: bool) -> str:
    return next((path for path, version in limits.directories(controller) if version is unified), "")


def _shared_memory() -> Fact:
    place = "/dev/shm"  # noqa: S108 - where POSIX shared memory is, not a place for temporary files
    try:
        found = os.statvfs(place)
    except OSError:
        return Fact("shared memory", "no", ok=False, note=f"There is no {place}.")
    free = found.f_bavail * found.f_frsize
    return Fact("shared memory", f"{free >> 20} MiB free", free > 0)


def _directory(name: str, ask: Callable[[str], str]) -> Fact:
    label = f"{name} directory"
    try:
        place = os.path.dirname(ask("x"))
    except FrameworkError as error:
        return Fact(label, "none", ok=False, note=str(error))
    nearest = place
    while not os.path.exists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        return Fact(label, place, ok=False, note=f"{nearest} is no directory.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Fact(label, place, ok=False, note=f"{nearest} is not ours to write.")
    return Fact(label, place, ok=True)


def _journal() -> Fact:
    """Return whether what this user's processes hold can be written down, and where."""
    label, otherwise = "journal of leases", "kill -9 leaves what is held."
    try:
        place = journal.directory_path()
        journals.listed(place)
    except FrameworkError as error:
        return Fact(label, "none", ok=False, note=f"{error} Until then {otherwise}")
    nearest = place
    while not os.path.isdir(nearest):
        nearest = os.path.dirname(nearest)
    found, why = os.statvfs(nearest), ""
    if not os.access(nearest, os.W_OK | os.X_OK):
        why = f"{nearest} is not ours to write: {otherwise}"
    elif filesystems.is_remote(nearest):
        sort = filesystems.type_of(nearest)
        why = f"{nearest} is on another machine ({sort}), where locks prove nothing: {otherwise}"
    elif not found.f_bavail or (found.f_files and not found.f_favail):
        why = f"{nearest} is full: what would have to be written down is not created."
    return Fact(label, place, not why, why)


def _descriptors() -> Fact:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    return Fact("file descriptors", f"{soft}, at most {known}", soft >= 256, "" if soft >= 256 else "Few for a server.")
