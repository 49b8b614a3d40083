"""`DiskCollector`: how full a file system is."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from plugin_system.collector import Collector, Measured

GIB = 1 << 30


class DiskCollector(Collector):
    """Measures the file system of a path. While it cannot be asked, what it said last stands.

    Args:
        path: Any path on it.
        clock: What tells the time, in seconds.
    """

    noun = "disk"

    def __init__(self, path: str = "/", clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("/", clock)
        self._path = path
        self._found: os.statvfs_result | None = None

    def _measure(self, measured: Measured) -> None:
        with contextlib.suppress(OSError):  # the path was removed, or its file system unmounted
            self._found = os.statvfs(self._path)
        found = self._found
        if found is None:
            return
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        free = found.f_bavail * found.f_frsize  # for those who are not root, as df says it
        measured["disk_total_gb"] = found.f_blocks * found.f_frsize / GIB
        measured["disk_usage_gb"] = used / GIB
        measured["disk_free_bytes"] = free
        measured["disk_percent"] = 100.0 * used / (used + free) if used + free else 0.0
        inodes = found.f_files
        measured["disk_inodes_percent"] = 100.0 * (inodes - found.f_ffree) / inodes if inodes else 0.0
