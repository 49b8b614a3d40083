"""Kills this process at one of its steps, so that a test can try them one after the other.

To be used in a forked child, as `forked` makes it. The steps are counted where the framework's own journal is written,
or at each call that changes something of the operating system; the code that runs knows nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, TypeVar

from framework.journal import Journal
from framework.testing.outside import look

Step = Callable[[], None]
T = TypeVar("T")

_WRITES = ((Journal, "_append"), (Journal, "_written"))
_SYSTEM = {"posix", "fcntl", "_io", "_posixshmem", "_posixsubprocess", "_socket", "socket", "_multiprocessing", "mmap"}
_HARMLESS = {
    *("access", "cpu_count", "fspath", "fstat", "get_blocking", "getcwd", "geteuid", "getpid", "getppid", "getuid"),
    *("getxattr", "listdir", "lstat", "read", "readlink", "scandir", "sched_getaffinity", "stat", "statvfs", "urandom"),
    *("WEXITSTATUS", "WIFEXITED", "WIFSIGNALED", "WTERMSIG", "fsencode", "sysconf", "waitstatus_to_exitcode", "lseek"),
    *("fileno", "readable", "readline", "seekable", "writable", "tell", "isatty", "get_inheritable", "getvalue"),
}


@contextlib.contextmanager
def killed_at_step(number: int, *calls: str) -> Iterator[Step]:
    """Kill this process at a step: steps are right before and right after each write to its journal.

    Args:
        number: Of the fatal step; the first is 0.
        calls: Functions of `os` before and after which there are steps, too.

    Yields:
        What the caller calls to say that here is one more step.
    """
    step = _counting(number)
    former = [(owner, name, getattr(owner, name)) for owner, name in (*_WRITES, *((os, one) for one in calls))]

    def around(function: Callable[..., T]) -> Callable[..., T]:
        def call(*args: Any, **more: Any) -> T:
            step()
            result = function(*args, **more)
            step()
            return result

        return call

    for owner, name, function in former:
        setattr(owner, name, around(function))
    try:
        yield step
    finally:
        for owner, name, function in former:
            setattr(owner, name, function)


@contextlib.contextmanager
def killed_at_call(number: int) -> Iterator[Step]:
    """Kill this process right before a call into the system that may change something; the rest as `killed_at_step`.

    Calls are seen as Python makes them, in this thread and in those that are started meanwhile. What one call does in
    several steps inside a C module is one step.
    """
    step = _counting(number)

    def look(_: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ not in _HARMLESS:
            module = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
            if module in _SYSTEM:
                step()

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield step
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def die() -> NoReturn:
    """Kill this process, once the test that looks for what it leaves knows what it has."""
    sys.setprofile(None)
    look()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _counting(number: int) -> Step:
    process, left = os.getpid(), [number]

    def step() -> None:
        if os.getpid() != process:  # a child of this process, which has its own life
            return
        if left[0] == 0:
            die()
        left[0] -= 1

    return step
