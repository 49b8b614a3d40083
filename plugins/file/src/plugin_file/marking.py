"""Marks: what shows that a file or directory at a path of the user's choice is the one that was made for a lease."""

from __future__ import annotations

import errno
import os

from framework import Recovery, ResourceProvider, get_logger

MARK = "user.framework.lease"
"""The extended attribute whose value is the token of the lease."""

_NEVER_REPEATS = {"tmpfs", "ramfs"}
"""File systems that use no inode's number twice, so that it says enough."""


def mark(provider: ResourceProvider, verb: Recovery, path: str, descriptor: int, token: str) -> None:
    """Intend to undo what will be at a path, having marked it so that nothing else is taken for it.

    Where a file system has neither marks nor inodes of its own for each file, that cannot be: the log says so, and the
    death of this process leaves it.

    Raises:
        OSError: There is no room for the mark.
        ResourceUnavailableError: The journal cannot be written.
    """
    try:
        os.setxattr(descriptor, MARK, token.encode())
        proof = f"mark:{token}"
    except (AttributeError, OSError) as error:  # macOS has no setxattr in Python
        if getattr(error, "errno", None) not in {None, errno.EOPNOTSUPP, errno.EPERM}:
            raise
        found = os.fstat(descriptor)
        proof = f"inode:{found.st_dev}:{found.st_ino}" if _type_of(found.st_dev) in _NEVER_REPEATS else ""
    if proof:
        provider.intend(verb, path, proof=proof, volatile=proof.startswith("inode"))
    else:
        get_logger().warning("file_unmarked", path=repr(path), consequence="kill -9 leaves it")


def _type_of(device: int) -> str:
    """Return the type of a device's file system, or nothing where the system does not tell."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.partition(" - ") for line in file]
    except OSError:
        return ""
    return next((right.split()[0] for left, _, right in mounts if left.split()[2] == wanted), "")
