"""Which file system a path is on, as far as that decides what can be promised."""

from __future__ import annotations

import os
import re

REMOTE = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
}  # fmt: skip
"""File systems of other machines, whose locks and times cannot be relied on."""

LOCAL_FUSE = {
    "fuse.bindfs", "fuse.ecryptfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.mergerfs",
}  # fmt: skip
"""Of the file systems that programs serve, those that are of this machine; who serves another may be anywhere."""

IN_MEMORY = {"tmpfs", "ramfs"}
"""File systems that never use an inode's number twice."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


def type_of(path: str) -> str:
    """Return the type of the file system that a path is on, or nothing where the system does not tell."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    return of_mounts(lines, os.path.realpath(path), f"{os.major(device)}:{os.minor(device)}")


def of_mounts(lines: list[str], real: str, device: str) -> str:
    """Return the type of the file system of a path and a device, by the lines of a `mountinfo`."""
    for line in reversed(lines):  # the last one mounted over a place is the one that is seen
        left, _, right = line.partition(" - ")
        if left.split()[2] == device:
            return right.split()[0]
    return _around(real, lines)


def _around(real: str, lines: list[str]) -> str:
    """Return the type of the innermost mount around a path: some file systems give their files other devices."""
    best, found = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), left.split()[4])
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip("/") + "/")):
            best, found = point, right.split()[0]
    return found


def is_remote(path: str) -> bool:
    """Return whether a path is on another machine, or may be."""
    return may_be_remote(type_of(path))


def may_be_remote(found: str) -> bool:
    """Return whether a file system of a type is on another machine, or may be."""
    return found in REMOTE or (found.partition(".")[0] == "fuse" and found not in LOCAL_FUSE)
