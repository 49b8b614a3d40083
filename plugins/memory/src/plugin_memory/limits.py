"""Refuses more memory than there is: the machine's, this process' control groups', and what /dev/shm can hold.

How much of a limit is used already is asked of /dev/shm only.
"""

from __future__ import annotations

import os

from framework import check_size
from framework.errors import InvalidRequestError, ResourceUnavailableError
from framework.limits import memory_limit
from plugin_memory.shm import DIRECTORY

SMALL = 1 << 20
"""Sizes up to here, in bytes, are not checked: every machine has that much, and asking costs more than trying."""


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
        limit = memory_limit()
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
