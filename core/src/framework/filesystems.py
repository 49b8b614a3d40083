"""Which file system a path is on, as far as that decides what can be promised."""

from __future__ import annotations

import os

REMOTE = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs", "virtiofs",
}  # fmt: skip
"""File systems of other machines, whose locks and times cannot be relied on."""

IN_MEMORY = {"tmpfs", "ramfs"}
"""File systems that never use an inode's number twice."""


def type_of(path: str) -> str:
    """Return the type of the file system that a path is on, or nothing where the system does not tell."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in reversed(lines):  # the last one mounted over a place is the one that is seen
        left, _, right = line.partition(" - ")
        if left.split()[2] == wanted:
            return right.split()[0]
    return _around(path, lines)


def _around(path: str, lines: list[str]) -> str:
    """Return the type of the innermost mount around a path: some file systems give their files other devices."""
    real, best, found = os.path.realpath(path), "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip("/") + "/")):
            best, found = point, right.split()[0]
    return found


def is_remote(path: str) -> bool:
    """Return whether a path is on another machine."""
    return type_of(path) in REMOTE
