"""Where the control groups of this process are: its own directory for a controller, and those of all ancestors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy: `root` is the group that its mount point shows; version 2 has no controllers here."""

    root: str
    point: str
    controllers: frozenset[str]
    unified: bool

    def path_of(self, group: str) -> str:
        """Return a group's directory; the mount point itself for a group that is not below the mount's root."""
        inside = group == self.root or group.startswith(self.root.rstrip("/") + "/")
        return os.path.normpath(f"{self.point}/{group[len(self.root) :] if inside else ''}")


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
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)
