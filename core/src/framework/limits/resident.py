"""How much memory this process has now, and had at most; and having the allocator give back what it keeps."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable

from framework.limits.files import value


def resident_bytes() -> int:
    """Return this process' resident set in bytes, or 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_bytes() -> int:
    """Return the most that the resident set was since the process began, or since `reset_peak`; 0 where unknown."""
    try:
        with open("/proc/self/status", "rb") as file:
            return max(0, value(file.read(), b"VmHWM:")) << 10
    except OSError:
        return 0


def reset_peak() -> bool:
    """Have the peak begin anew at what is resident now, and return whether that could be done.

    It is the process' one peak: what others read there, as `resource.getrusage`, begins anew as well.
    Source: /proc/PID/clear_refs in Documentation/filesystems/proc.rst of the Linux kernel.
    """
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "wb") as file:
        file.write(b"5")
        return True
    return False


def trim() -> None:
    """Have the allocator give free memory back to the system, where it is one that keeps it: the GNU C library's."""
    release = _malloc_trim()
    if release is not None:
        release(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    import ctypes  # only where something was freed and did not come back

    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
