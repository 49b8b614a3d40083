"""What runs in a worker process. Imports little, because every worker pays for it when it starts."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import Any


def guard() -> None:
    """Make this worker ignore Ctrl-C, which the terminal sends to the whole group, and die with its owner.

    The parent holds the other end of a pipe for as long as it lives. On Linux the kernel watches that pipe and kills
    the worker even while a task keeps the interpreter busy; elsewhere a thread watches it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # blocked by the owner until here, so that no Ctrl-C comes too early
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        _kill_at_hangup(parent.sentinel)
    else:
        import threading

        threading.Thread(target=_follow, name="owner", daemon=True).start()
    from multiprocessing.connection import wait

    if wait([parent.sentinel], timeout=0):
        os._exit(1)  # the owner died before the watch began


def _kill_at_hangup(lifeline: int) -> None:
    import fcntl

    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _follow() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def call(task: bytes) -> Any:
    """Load a pickled task and run it.

    Tasks travel as bytes because the pool of `concurrent.futures` breaks for ever when a worker cannot load one.

    Raises:
        InvalidRequestError: The function or an argument cannot be loaded here.
    """
    try:
        function, args, kwargs = pickle.loads(task)  # noqa: S301 - from our own parent, through a private pipe
    except Exception as error:
        from framework.errors import InvalidRequestError

        raise InvalidRequestError(
            f"A worker process could not load a task: {type(error).__name__}: {error}.",
            "Put the function and the classes of its arguments into a module that can be imported.",
            resource="executor.process",
        ) from error
    return function(*args, **kwargs)
