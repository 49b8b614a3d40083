"""How much memory there is: the machine's, this process' control group's, and what /dev/shm can hold.

The control group is read the way that is right in nested groups: the path of this very process, below the mount's own
root, and never more than any ancestor allows. How much of a limit is used already is not asked here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from framework import check_size
from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_memory.shm import DIRECTORY

SMALL = 1 << 20
"""Sizes up to here, in bytes, are not checked: every machine has that much, and asking costs more than trying."""

_UNLIMITED_V1 = 1 << 62
"""Version 1 says "no limit" with the largest number of whole pages."""


def check_memory(kind: str, size: int) -> None:
    """Refuse a size in bytes that cannot be mapped, or that is more than this machine or control group has.

    Raises:
        InvalidRequestError: It is 0.
        ResourceLimitError: It is more than there is, whoever gives back what.
    """
    if size == 0:
        raise InvalidRequestError(
            f"{kind} got size 0; the least that can be mapped is 1 byte.", "Ask for 1 or more.", resource=kind
        )
    if size > SMALL:
        check_size(kind, size, at_most=physical_memory(), of="this machine")
        limit = control_group_limit()
        if limit is not None:
            check_size(kind, size, at_most=limit, of="the control group of this process")


def check_shared_memory(kind: str, size: int, directory: str = DIRECTORY) -> None:
    """Refuse a size in bytes that /dev/shm cannot hold; where there is none, memory is the only limit.

    Raises:
        ResourceLimitError: It is more than all of /dev/shm.
        ResourceUnavailableError: It is more than what is free there now.
    """
    if size <= SMALL:
        return
    try:
        found = os.statvfs(directory)
    except OSError:
        return
    if found.f_blocks == 0:  # a tmpfs mounted without a size
        return
    check_size(kind, size, at_most=found.f_blocks * found.f_frsize, of=directory)
    free = found.f_bavail * found.f_frsize
    if size > free:
        raise ResourceUnavailableError(
            f"{kind} got size {size}, but {directory} has {free} bytes free.",
            f"Ask for less, or remove what is no longer used from {directory}.",
        )


def physical_memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def control_group_limit(process: str = "/proc/self") -> int | None:
    """Return the memory limit in bytes of this process' control group and all above it; None where there is none."""
    try:
        groups, mounts = _read(f"{process}/cgroup"), _read(f"{process}/mountinfo")
    except OSError:
        return None
    for controllers, path in _memberships(groups):
        version = 1 if "memory" in controllers else 2
        for root, point in _mounts(mounts, version):
            inside = os.path.relpath(path, root)
            group = point if inside.startswith("..") else os.path.normpath(os.path.join(point, inside))
            limit = _limit_v1(group) if version == 1 else _limit_v2(group, point)
            if limit is not None:
                return limit
    return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _memberships(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the group that limits memory under version 1 and the one of version 2, as controllers and path."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            yield controllers.split(","), path


def _mounts(text: str, version: int) -> Iterator[tuple[str, str]]:
    """Yield root and mount point of each mount where a version keeps its groups for memory."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        if (version == 2 and kind == "cgroup2") or (
            kind == "cgroup" and version == 1 and "memory" in options.split(",")
        ):
            fields = before.split(" ")
            yield fields[3].replace("\\040", " "), fields[4].replace("\\040", " ")


def _limit_v1(group: str) -> int | None:
    try:
        rows = dict(line.split(" ", 1) for line in _read(f"{group}/memory.stat").splitlines())
        limit = int(rows["hierarchical_memory_limit"])
    except (OSError, KeyError, ValueError):
        return None
    return limit if limit < _UNLIMITED_V1 else None


def _limit_v2(group: str, top: str) -> int | None:
    found: list[int] = []
    while True:
        try:
            text = _read(f"{group}/memory.max").strip()
        except OSError:  # the top group has none
            text = "max"
        if text != "max":
            found.append(int(text))
        if group == top or len(group) <= len(top):
            return min(found, default=None)
        group = os.path.dirname(group)
