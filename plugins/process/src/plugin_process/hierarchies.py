"""Where a control group for a child may be made: inside the group that this process is in, for each controller.

Both versions of control groups may be mounted together, with each controller in one of them. What `/proc` says is the
group within the whole hierarchy; a mount may show a part of that only, so its root is taken off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ESCAPED = re.compile(r"\\([0-7]{3})")
NO_LIMIT = {"memory": ("memory.max", "max"), "cpu": ("cpu.max", "max"), "pids": ("pids.max", "max")}
"""The file of version 2 that says a controller's limit, and how it begins where there is none."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory in which groups may be made.

    Args:
        parent: Its path.
        unified: Whether it is of version 2.
    """

    parent: str
    unified: bool


def places(controllers: Iterable[str], root: str = "/") -> dict[str, Place]:
    """Return the place for each controller that a group can be made for.

    Args:
        controllers: As in `memory`, `cpu` or `pids`. The empty name stands for version 2 itself, where a group can be
            killed at once whatever controllers it has.
        root: Where `proc` and the mount points are looked for; a test passes a directory of its own.
    """
    wanted = list(controllers)
    found: dict[str, Place] = {}
    for names, own, top, unified in _own_directories(root):
        if unified:
            parent, usable = _unified(own, top, wanted)
        else:
            parent, usable = own, [one for one in wanted if one in names]
        if os.access(parent, os.W_OK | os.X_OK):
            found.update({one: Place(parent, unified) for one in usable})
    return found


def _unified(own: str, top: str, wanted: list[str]) -> tuple[str, list[str]]:
    """Return where version 2 lets a group be made, and for which of the controllers.

    A group with processes of its own cannot hand most controllers on to groups within it. Then it must be the one
    above, which is fine for a controller that does not limit this process' own group: nothing is got around.
    """
    here = [one for one in wanted if not one or one in _words(own, "cgroup.subtree_control")]
    is_root = not os.path.exists(os.path.join(own, "cgroup.type"))
    if is_root or own == top or len(here) == len(wanted):
        return own, here
    above = os.path.dirname(own)
    there = [one for one in wanted if not one or (_is_free(own, one) and _hands_on(above, one))]
    return (above, there) if len(there) > len(here) and os.access(above, os.W_OK) else (own, here)


def _is_free(own: str, controller: str) -> bool:
    name, begins = NO_LIMIT[controller]
    text = read(os.path.join(own, name))
    return not text or text.startswith(begins)


def _hands_on(above: str, controller: str) -> bool:
    """Return whether the groups in a directory have a controller, after having asked for it if need be."""
    if controller in _words(above, "cgroup.subtree_control"):
        return True
    if controller not in _words(above, "cgroup.controllers") or not os.path.exists(os.path.join(above, "cgroup.type")):
        return False  # the root belongs to the whole machine and is left as it is
    try:
        write(os.path.join(above, "cgroup.subtree_control"), f"+{controller}")
    except OSError:
        return False
    return True


def _own_directories(root: str) -> Iterator[tuple[set[str], str, str, bool]]:
    """Yield each hierarchy: its controllers, this process' own group, the mount point, whether it is unified."""
    groups: dict[str, str] = {}
    for line in read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), group))
    for line in read(os.path.join(root, "proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        names = {""} if kind == "cgroup2" else set(options.split(",")) & groups.keys() - {""}
        if kind not in {"cgroup", "cgroup2"} or not names & groups.keys():
            continue
        top, point, group = _plain(fields[3]), _plain(fields[4]), groups[min(names)]
        if group == top or group.startswith(top.rstrip("/") + "/"):  # else the mount does not show this process' group
            mount = os.path.join(root, point.lstrip("/"))
            own = os.path.normpath(os.path.join(mount, group[len(top) :].lstrip("/")))
            yield names, own, os.path.normpath(mount), kind == "cgroup2"


def _words(directory: str, name: str) -> list[str]:
    return read(os.path.join(directory, name)).split()


def read(path: str) -> str:
    """Return what a file says, nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    """Write to a file of a control group, which must be there.

    Raises:
        OSError: It is not, or it does not take that.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _plain(path: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)
