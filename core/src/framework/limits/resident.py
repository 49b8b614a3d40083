"""How much memory this process has now, and had at most; and having the allocator give back what it keeps."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable

from framework.limits.files import SIZE, value

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return this process' resident set in bytes, or 0 where the system does not tell."""
    words = _content("/proc/self/statm").split()
    return int(words[1]) * _PAGE if words else 0


def peak_bytes() -> int:
    """Return the most that the resident set was since the process began, or since `reset_peak`; 0 where unknown."""
    return max(0, value(_content("/proc/self/status"), b"VmHWM:")) << 10


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


def _content(path: str) -> bytes:
    """Return what a file says, with three system calls: the interpreter may be taken away at each."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, SIZE)
    finally:
        os.close(file)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    import ctypes  # only where something was freed and did not come back

    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
