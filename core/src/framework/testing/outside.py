"""What there is outside of any process and stays when one dies: segments of shared memory, and control groups.

Other programs make such things too. So what is new counts only if no stranger has it in its hands.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

SEGMENTS = "/dev/shm"  # noqa: S108 - nothing is written there
_MOUNTS = "/proc/self/mountinfo"


def segments() -> set[str]:
    """Return the paths of this user's segments of shared memory; empty where they have no place to be seen."""
    found = set()
    try:
        for entry in os.scandir(SEGMENTS):
            if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                found.add(entry.path)
    except OSError:
        pass  # there are none, or one has just gone, and the next look shows the others
    return found


def groups() -> set[str]:
    """Return the paths of the control groups below those of this process; empty where there are none."""
    found: set[str] = set()
    for own in _own_groups():
        for place, folders, _ in os.walk(own):
            found.update(os.path.join(place, one) for one in folders)
    return found


def of_strangers(paths: set[str]) -> set[str]:
    """Return which of some segments and groups a process has in its hands that does not descend of this one."""
    if not paths:
        return paths
    family = _family()
    everybody = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return _held(paths, everybody - family) - _held(paths, family)


def of_ours(paths: set[str]) -> set[str]:
    """Return which of some segments and groups this process, or one that descends of it, has in its hands."""
    return _held(paths, _family()) if paths else paths


def _held(paths: set[str], by: set[int]) -> set[str]:
    held = {path for path in paths if by & set(map(int, _read(os.path.join(path, "cgroup.procs")).split()))}
    return held.union(*(_in_hands(pid, paths) for pid in by))


def _in_hands(pid: int, paths: set[str]) -> set[str]:
    held = {line.split(maxsplit=5)[-1].strip() for line in _read(f"/proc/{pid}/maps").splitlines() if SEGMENTS in line}
    for number in _listed(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            held.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return held & paths


def _family() -> set[int]:
    """Return the numbers of this process and of all that descend of it."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _read(f"/proc/{name}/stat").rpartition(")")[2].split()
            if fields:
                parents[int(name)] = int(fields[1])
    family, size = {os.getpid()}, 0
    while len(family) > size:
        size = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    return family


def _own_groups() -> Iterator[str]:
    """Yield where this process' group is in each hierarchy that is mounted here."""
    paths = dict(line.split(":", 2)[1:] for line in _read("/proc/self/cgroup").splitlines())
    for line in _read(_MOUNTS).splitlines():
        head, _, tail = line.partition(" - ")
        sort, _, options = tail.partition(" ")
        root, mount = head.split()[3:5]
        if sort == "cgroup2":
            path = paths.get("")
        elif sort == "cgroup":
            path = next((path for names, path in paths.items() if names and names in options.split()[-1]), None)
        else:
            continue
        if path is not None and (path + "/").startswith(root.rstrip("/") + "/"):
            yield os.path.join(mount, path[len(root.rstrip("/")) :].strip("/"))


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:  # it has ended, or is another user's
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
