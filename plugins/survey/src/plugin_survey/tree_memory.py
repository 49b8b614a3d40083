"""How many bytes of memory a process and all its descendants have together.

That is the sum of their proportional set sizes (PSS): a page that several of them share counts once, divided among
them, so that the sum is what would be free if they all ended. Where the system does not tell it, resident sets are
added, in which shared pages count several times. Source: Documentation/filesystems/proc.rst of the Linux kernel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator


def tree_bytes(pid: int | None = None) -> int:
    """Return the bytes of a process, this one by default, and its descendants; 0 where the system does not tell."""
    return sum(map(process_bytes, tree(os.getpid() if pid is None else pid)))


def tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants that are there now."""
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        for child in _content(f"/proc/{pid}/task/{thread}/children").split():
            yield from tree(int(child))


def process_bytes(pid: int) -> int:
    """Return the proportional set size of a process, its resident set where that is not told, 0 if it is gone."""
    for line in _content(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) << 10
    words = _content(f"/proc/{pid}/statm").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if words else 0


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
