"""Gives everything back when the process is told to end: by SIGTERM, or by SIGHUP when its terminal goes away.

The signal does what it always does, only a little later: hosts close first, within a budget, then the process ends by
the signal. A second one ends it at once. Signals that the program handles or ignores itself are left to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import NamedTuple

from framework import recovery
from framework.telemetry import get_logger

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
LAST_WORDS = 0.5
"""Seconds that undoing what is left may take in any case."""


class _Host(NamedTuple):
    """A host that is open, or being closed."""

    loop: asyncio.AbstractEventLoop
    close: Callable[[], Awaitable[None]]
    budget: float
    left: threading.Event
    """Set once it has left, whoever closed it: a signal may come in the middle of that."""


class _Drain:
    """Which hosts are open, and what to do with them."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.hosts: dict[object, _Host] = {}
        self.taken: list[signal.Signals] = []

    def take(self) -> None:
        """Take the signals that nobody has taken."""
        if self.taken or threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            # where this process was forked from, a handler is still its parent's
            former = getattr(signal.getsignal(number), "__self__", signal.getsignal(number))
            if former is signal.SIG_DFL or isinstance(former, _Drain):
                signal.signal(number, self.handle)
                self.taken.append(number)

    def give_back(self) -> None:
        """Give the signals back, unless somebody else has taken them meanwhile."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self.taken:
            if signal.getsignal(number) == self.handle:
                signal.signal(number, signal.SIG_DFL)
        self.taken = []

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Close every host, then let the signal do what it does."""
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != self.process:  # a forked child has nothing to give back
            os.kill(os.getpid(), number)
            return
        hosts, waiting = list(self.hosts.values()), []
        for host in hosts:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                host.loop.call_soon_threadsafe(_close, host)
                waiting.append(host.left)
        budget = max((host.budget for host in hosts), default=0.0)
        # not a daemon: if the program ends by itself meanwhile, it still ends by the signal
        thread = threading.Thread(target=_end, args=(number, waiting, budget), name="framework-drain")
        try:
            thread.start()
        except RuntimeError:  # there may be no more threads; then nobody can wait for the hosts
            _end(number, [], 0.0)


_drain = _Drain()


def _begin_anew() -> None:
    """Leave the hosts of the parent to the parent; what it took stays taken, and does there what it always did."""
    global _drain
    _drain = _Drain()


os.register_at_fork(after_in_child=_begin_anew)
_closing: set[asyncio.Future[None]] = set()


def enter(host: object, close: Callable[[], Awaitable[None]], budget: float) -> None:
    """Close a host before the process ends by a signal.

    Args:
        host: Whose signals these are; for `leave`.
        close: Gives everything back, and leaves; called in the running loop.
        budget: Seconds after which the process ends all the same.
    """
    _drain.hosts[host] = _Host(asyncio.get_running_loop(), close, budget, threading.Event())
    _drain.take()


def leave(host: object) -> None:
    """Forget a host that was closed."""
    entered = _drain.hosts.pop(host, None)
    if entered is not None:
        entered.left.set()
    if not _drain.hosts:
        _drain.give_back()


def _close(host: _Host) -> None:
    task = asyncio.ensure_future(host.close(), loop=host.loop)
    _closing.add(task)

    def ended(_: object) -> None:
        _closing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            get_logger().error("drain_failed", error=repr(task.exception()))

    task.add_done_callback(ended)


def _end(number: int, waiting: list[threading.Event], budget: float) -> None:
    deadline = time.monotonic() + budget
    try:
        for done in waiting:
            done.wait(max(0.0, deadline - time.monotonic()))
        recovery.settle_own(max(LAST_WORDS, deadline - time.monotonic()))  # what no loop gave back in time
    finally:
        os.kill(os.getpid(), number)
        if os.getpid() == 1:  # the first process of a container, to which signals do nothing by themselves
            os._exit(128 + number)
