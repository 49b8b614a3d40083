"""Where the control groups of this process are: its own directory for a controller, and those of all ancestors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

from framework.frozen import Frozen
from framework.limits.files import Files

MACHINE = "machine"
"""The source of what is not limited by any group."""
RESOLVE_EVERY = 10.0
"""Seconds after which groups are looked for anew even though the process seems to be in the same ones."""
CHECK_EVERY = 0.05
"""Seconds after which it is looked again whether the process was moved; asking takes longer than reading a limit."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(Frozen):
    """A mounted hierarchy: `root` is the group that its mount point shows; version 2 has no controllers here."""

    root: str
    point: str
    controllers: frozenset[str]
    unified: bool

    def path_of(self, group: str) -> str:
        """Return a group's directory; the mount point itself for a group that is not below the mount's root."""
        root = self.root.rstrip("/")
        below = group.removeprefix(root) if group == self.root or group.startswith(f"{root}/") else ""
        # a process outside of its cgroup namespace has a path with dots
        return self.point if ".." in below.split("/") else os.path.normpath(f"{self.point}/{below}")


class Groups:
    """The groups of this process, remembered until it is moved to others, forks, or `RESOLVE_EVERY` seconds passed.

    Args:
        root: Where `proc` and the mount points are looked for; a test passes a directory of its own.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.proc = os.path.join(root, "proc")
        self.files = Files()
        self._membership_file = f"{self.proc}/self/cgroup"
        self._membership = b""
        self._checked = self._resolved = float("-inf")
        self._known: dict[str, list[tuple[str, bool]]] = {}
        self._limiting: dict[str, list[tuple[str, bool]]] = {}

    def refresh(self) -> None:
        """Forget what is not so any more; to be called before a round of readings."""
        if self.files.renew():
            self._checked = self._resolved = float("-inf")
        now = time.monotonic()
        if now < self._checked + CHECK_EVERY:
            return
        self._checked = now
        membership = self.files.read(self._membership_file)
        if now >= self._resolved + RESOLVE_EVERY or membership != self._membership:
            self.files.close()
            self._known.clear()
            self._limiting.clear()
            self._membership, self._resolved = self.files.read(self._membership_file), now

    def of(self, controller: str) -> list[tuple[str, bool]]:
        """Return what `directories` yields for a controller."""
        found = self._known.get(controller)
        if found is None:
            found = self._known[controller] = list(directories(controller, self.root))
        return found

    def limiting(self, controller: str) -> list[tuple[str, bool]]:
        """Return the same without the top group of a whole machine, which has no limits under either version."""
        found = self._limiting.get(controller)
        if found is None:
            every = self.of(controller)
            # under version 2 it lacks the files; under version 1 it alone has this one
            found = [one for one in every if one[1] or not os.path.exists(f"{one[0]}/release_agent")]
            self._limiting[controller] = found
        return found

    def read(self, directory: str, name: str) -> bytes:
        """Return what a file of a group says now; nothing where it has no such file."""
        return self.files.read(f"{directory}/{name}")


def directories(controller: str, root: str = "/") -> Iterator[tuple[str, bool]]:
    """Yield the directory of this process' own group and of each visible ancestor, and whether it is version 2.

    A limit applies when it is set in any of them. Both versions may be mounted together, so both are looked at.

    Args:
        controller: As in `cpu`, `pids` or `memory`.
        root: Where `proc` and the mount points are looked for; a test passes a directory of its own.
    """
    groups = dict(_own_groups(controller, root))
    for mount in _mounts(root):
        group = groups.get(mount.unified)
        if group is None or not (mount.unified or controller in mount.controllers):
            continue
        path = mount.path_of(group)
        while True:
            yield os.path.join(root, path.lstrip("/")), mount.unified
            if path == mount.point or path == "/":
                break
            path = os.path.dirname(path)


def _own_groups(controller: str, root: str) -> Iterator[tuple[bool, str]]:
    for line in _lines(root, "cgroup"):
        number, controllers, group = line.split(":", 2)
        if number == "0" and not controllers:
            yield True, group
        elif controller in controllers.split(","):
            yield False, group


def _mounts(root: str) -> Iterator[Mount]:
    for line in _lines(root, "mountinfo"):
        if " - cgroup" not in line:
            continue  # there may be hundreds, and each answer waits for this
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            yield Mount(_plain(fields[3]), _plain(fields[4]), frozenset(options.split(",")), kind == "cgroup2")


def _lines(root: str, name: str) -> list[str]:
    try:
        with open(os.path.join(root, "proc/self", name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []  # no /proc, or a system without control groups: then there are no limits of this sort


def _plain(path: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path) if "\\" in path else path
