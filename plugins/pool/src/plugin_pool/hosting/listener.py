"""`Listener`: tells other processes of the same user what waits in the pool of this one, and why.

It is a Unix socket in a private directory, named after the process and the machine. A question is a line of JSON, and
so is its answer: `{"ask": "tasks"}` for what waits and who holds something, `{"ask": "explain", "of": TASK or
requirements}` for an explanation. An answer has `pid` and `program`, and what was asked for, or `error` and `remedy`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from framework import get_logger
from framework.errors import FrameworkError, InvalidRequestError
from plugin_pool.observed import Standing
from plugin_pool.pool import ResourcePool
from plugin_pool.records import TaskResourceAllocation

SUFFIX = f".{os.uname().nodename}.sock"
"""Ends the name of a socket: the directory may be one that several machines share, and only here it can be reached."""
EARLY = "."
"""Begins the name of a socket that does not listen yet."""
LONGEST = 1 << 16
"""Most bytes of a question."""
PATIENCE = 2.0
"""Seconds that who asks may take to ask, and to take the answer."""
MOST = 100
"""So many tasks that wait, and so many that hold something, are told one by one."""

_listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


class Listener:
    """Answers questions from `start` to `stop`, in a thread; where it cannot, as without a home, nobody is told.

    Args:
        pool: What is asked about.
        directory: Returns the private directory for the socket.
    """

    def __init__(self, pool: ResourcePool, directory: Callable[[], str]) -> None:
        self._pool = pool
        self._directory = directory
        self._open = contextlib.ExitStack()
        self._sockets: tuple[socket.socket, ...] = ()
        self._thread = threading.Thread(target=self._run, name="pool-listener", daemon=True)

    def start(self) -> None:
        """Begin; all that it needs of the system it has from then on."""
        try:
            with contextlib.ExitStack() as opened:
                listening = opened.enter_context(_bound(self._directory(), opened))
                self._sockets = (listening, *map(opened.enter_context, socket.socketpair()))
                self._selector = opened.enter_context(selectors.DefaultSelector())
                for one in self._sockets[:2]:
                    self._selector.register(one, selectors.EVENT_READ)
                self._open = opened.pop_all()
        except (OSError, FrameworkError) as error:
            get_logger().debug("pool_listener_failed", error=str(error))
            return
        _listeners.add(self)
        self._thread.start()

    def stop(self) -> None:
        """End; a question that is being answered is answered."""
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._sockets[-1].send(b".")
            if self._thread is not threading.current_thread():  # as when a hook ends the host
                self._thread.join(2 * PATIENCE)

    def forget(self) -> None:
        """Close what a process that was forked has of its parent's, and remove nothing."""
        self._open.pop_all()
        self._selector.close()
        for one in self._sockets:
            one.close()

    def _run(self) -> None:
        listening = self._sockets[0]
        with self._open:
            while all(key.fileobj is listening for key, _ in self._selector.select()):
                with contextlib.suppress(OSError):  # who asked has gone, or takes too long
                    asking = listening.accept()[0]
                    with asking:
                        asking.settimeout(PATIENCE)
                        asking.sendall(json.dumps(self._answered(_line(asking))).encode() + b"\n")

    def _answered(self, question: bytes) -> dict[str, Any]:
        who = {"pid": os.getpid(), "program": _program()}
        try:
            return who | self._answer(_read(question))
        except FrameworkError as error:
            return who | {"error": error.problem, "remedy": error.remedy}
        except Exception as error:  # noqa: BLE001 - a strategy may raise when it is asked; the next question may work
            return who | {"error": f"{type(error).__name__}: {error}", "remedy": ""}

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if question.get("ask") == "tasks":
            return self._tasks()
        if question.get("ask") == "explain":
            return {"explanation": self._pool.explain(question.get("of")).as_json()}
        raise InvalidRequestError(
            f"The question {question.get('ask')!r:.80} is not known here.", "Ask for tasks, or to explain."
        )

    def _tasks(self) -> dict[str, Any]:
        waiting = self._pool.get_waiting(MOST)
        held = self._pool.get_allocations(MOST)
        return {"waiting": [self._standing(one) for one in waiting], "held": [_allocation(one) for one in held]}

    def _standing(self, one: Standing) -> dict[str, Any]:
        return {
            "task": one.first,
            "tasks": one.tasks,
            "tier": one.tier.value,
            "seconds": one.waited,
            "sentence": self._sentence(one.first),
        }

    def _sentence(self, task: str) -> str:
        try:
            return self._pool.explain(task).sentence
        except InvalidRequestError:  # it was served or left just now
            return ""


def _allocation(one: TaskResourceAllocation) -> dict[str, Any]:
    return {
        "task": one.task_id,
        "status": one.status.value,
        "seconds": max(time.time() - one.since, 0.0),
        "resources": list(one.allocated_resources[:MOST]),
    }


def _bound(folder: str, stack: contextlib.ExitStack) -> socket.socket:
    """Return a socket that listens in a directory, and is removed from there in the end."""
    name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
    path, early = os.path.join(folder, name), os.path.join(folder, f"{EARLY}{name}")
    listening = socket.socket(socket.AF_UNIX)
    try:
        with reachable(early) as short:
            listening.bind(short)
        stack.callback(_removed, early)
        listening.listen()
        os.rename(early, path)  # only now: who asks removes one that does not listen
        stack.callback(_removed, path)
    except BaseException:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def reachable(path: str) -> Iterator[str]:
    """Give another path of a socket, short enough for an address of one, which has room for a hundred bytes."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


def _removed(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _line(asking: socket.socket) -> bytes:
    found = b""
    while b"\n" not in found and len(found) <= LONGEST and (more := asking.recv(4096)):
        found += more
    return found


def _read(question: bytes) -> dict[str, Any]:
    try:
        found = json.loads(question) if len(question) <= LONGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequestError(
            f"The question {question[:80]!r} is not a line of at most {LONGEST:,} bytes with a JSON object.",
            'Ask as in {"ask": "tasks"}.',
        )
    return found


def _program() -> str:
    name, *arguments = sys.argv or [""]
    return " ".join([os.path.basename(name), *arguments])[:80]


def _forget() -> None:
    for one in list(_listeners):
        one.forget()
    _listeners.clear()


os.register_at_fork(after_in_child=_forget)
