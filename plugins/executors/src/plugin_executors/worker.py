"""What runs in a worker process. Imports little, because every worker pays for it when it starts."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any

from plugin_executors import main_program
from plugin_executors.chunks import Chunk, Item, run_chunk
from plugin_executors.frames import (
    FAILED,
    RAISED,
    READY,
    RESULT,
    UNLOADABLE,
    UNSENDABLE,
    receive,
    send,
)

_OOM_SCORE = 500
"""Thousandths of the memory limit by which a worker counts as larger than it is."""


def main(requests: int, replies: int, lifeline: int) -> None:
    """Answer calls until the owner closes the pipe.

    Args:
        requests: Descriptor of the pipe to read calls from.
        replies: Descriptor of the pipe to write answers to.
        lifeline: Descriptor of a pipe whose other end the owner holds for as long as it lives, and never writes to.
    """
    guard(lifeline)
    keep_from_children(requests, replies, lifeline)
    try:
        main_program.install(pickle.loads(receive(requests)[1]))  # noqa: S301 - from our own parent, by a private pipe
    except EOFError:
        return
    except BaseException as error:  # noqa: BLE001 - whatever it is, only the owner can tell somebody
        send(replies, FAILED, pickle.dumps((f"{type(error).__name__}: {error}", _traceback(error))))
        sys.exit(1)
    try:
        send(replies, READY)
        while True:
            _, task = receive(requests)
            send(replies, *answer(task))
            del task  # an idle worker must not keep arguments alive
    except (EOFError, BrokenPipeError):
        return


def guard(lifeline: int) -> None:
    """Make this worker ignore Ctrl-C, which the terminal sends to the whole group, and die with its owner.

    On Linux the kernel watches the lifeline and kills the worker even while a task keeps the interpreter busy;
    elsewhere a thread watches it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # blocked by the owner until here, so that no Ctrl-C comes too early
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        _kill_at_hangup(lifeline)
    else:
        import threading

        threading.Thread(target=_follow, args=(lifeline,), name="owner", daemon=True).start()
    _offer_to_oom_killer()
    import select

    watch = select.poll()  # unlike `select`, it takes the descriptors of an owner that has thousands open
    watch.register(lifeline, select.POLLIN)
    if watch.poll(0):
        os._exit(1)  # the owner died before the watch began


def keep_from_children(*pipes: int) -> None:
    """Have neither programs that a task starts nor processes that it forks keep the worker's pipes open."""
    for pipe in pipes:
        os.set_inheritable(pipe, False)  # noqa: FBT003 - it takes no other

    def close() -> None:
        for pipe in pipes:
            os.close(pipe)

    os.register_at_fork(after_in_child=close)


def answer(task: memoryview) -> tuple[int, bytes]:
    """Load a pickled call, run it, and return the kind and the body of the answer."""
    try:
        function, args, kwargs = pickle.loads(task)  # noqa: S301 - from our own parent, through a private pipe
    except Exception as error:  # noqa: BLE001 - a class may raise anything when it is loaded
        return UNLOADABLE, pickle.dumps(f"{type(error).__name__}: {error}")
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the task
        return _raised(error)
    try:
        return RESULT, pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - a class may raise anything when it is asked for its state
        if isinstance(result, Chunk):
            return RESULT, pickle.dumps(_sendable(result), pickle.HIGHEST_PROTOCOL)
        return UNSENDABLE, _named(result, "result", error, "")


def run_items(function: Callable[..., Any], items: list[Item]) -> Chunk:
    """Call a function with each set of arguments; failures become answers of their own."""
    return run_chunk(function, items, _raised)


def _sendable(chunk: Chunk) -> Chunk:
    """Return a chunk with failures in the place of the values that cannot be pickled."""
    for place, value in enumerate(chunk.values):
        try:
            pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - as above
            chunk.values[place] = None
            chunk.errors[place] = UNSENDABLE, _named(value, "result", error, "")
    return chunk


def _raised(error: BaseException) -> tuple[int, bytes]:
    trace = _traceback(error)
    try:
        body = pickle.dumps((error, trace), pickle.HIGHEST_PROTOCOL)
        loaded, _ = pickle.loads(body)  # noqa: S301 - our own: many an exception can be pickled and not be loaded
        if not isinstance(loaded, BaseException):
            raise TypeError(f"it becomes a {type(loaded).__name__}")
    except Exception as failure:  # noqa: BLE001 - as above
        return UNSENDABLE, _named(error, "exception", failure, trace)
    return RAISED, body


def _named(value: object, what: str, error: Exception, trace: str) -> bytes:
    from plugin_executors.unpicklable import culprit, said

    path, part = culprit(value, what)
    shown = said(value) if isinstance(value, BaseException) else type(value).__name__
    return pickle.dumps((shown, path, type(part).__qualname__, said(error), trace))


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _offer_to_oom_killer() -> None:
    """Have the kernel, when memory runs out, rather take a worker, whose task is tried again, than its owner."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            adjusted = min(1000, int(file.read()) + _OOM_SCORE)
            file.seek(0)
            file.write(str(adjusted))
    except OSError:
        pass  # there is no such thing elsewhere than on Linux


def _kill_at_hangup(lifeline: int) -> None:
    import fcntl

    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _follow(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)
