"""Runs something in a forked child of the test, with an event loop of its own, and says how that ended."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from framework.threads import in_thread

__all__ = ["Ending", "end_as_programs_do", "forked", "in_thread"]

TIMEOUT_S = 60
"""Seconds after which a child ends itself."""

_MOST = 1 << 15  # bytes that a pipe takes without anybody reading


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended.

    `code` is its exit code, or minus the number of the signal that ended it; `said` is what it returned, or the
    traceback of what it raised.
    """

    code: int
    said: str

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self.code == -signal.SIGKILL


async def forked(work: Callable[[], Awaitable[object]], *, end: Callable[[int], NoReturn] = os._exit) -> Ending:
    """Run a coroutine function in a forked child and wait for its end, while the loop of this process goes on.

    Args:
        work: What the child does, in an event loop of its own. What it returns is told as a text, None as nothing.
        end: How the child ends then; by default at once, without any clean-up.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()  # or the child would print it too
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python 3.12 and later warn where there are threads: the child uses no lock that one of them may have held
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _live(work, writing, end)
    os.close(writing)
    try:
        _, status = await in_thread(lambda: os.waitpid(pid, 0))
        os.set_blocking(reading, False)  # a grandchild may still hold the other end
        try:
            said = os.read(reading, _MOST)
        except BlockingIOError:
            said = b""
    finally:
        os.close(reading)
    return Ending(os.waitstatus_to_exitcode(status), said.decode("utf-8", "replace"))


def end_as_programs_do(code: int) -> NoReturn:
    """End this process as `sys.exit` does in the end: with everything that is registered for the interpreter's exit."""
    ctypes.pythonapi.Py_Exit(code)
    os._exit(code)


def _live(work: Callable[[], Awaitable[object]], writing: int, end: Callable[[int], NoReturn]) -> NoReturn:
    """Be the child; never return into the test that belongs to the parent."""
    code, said = 1, ""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(TIMEOUT_S)
        said = str(asyncio.run(_awaited(work)) or "")
        code = 0
    except BaseException:  # noqa: BLE001 - all of it is told to the parent
        said = traceback.format_exc()
    try:
        os.write(writing, said.encode("utf-8", "replace")[-_MOST:])
        end(code)
    finally:
        os._exit(1)


async def _awaited(work: Callable[[], Awaitable[object]]) -> object:
    return await work()
