"""`Handover`: a queue between threads, whose `get` ends in time and which no interrupt leaves locked."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """Gives each item to one of those who wait for one, who are served in the order in which they came.

    `queue.SimpleQueue` does not do: in CPython 3.11 its `get` with a timeout waits for ever if another thread takes the
    item first and the time is over just then. Nor does `queue.Queue`, whose lock an interrupt can leave locked, as it
    is taken in Python: see `Change`. Here each who waits has a lock of their own, and what several share is changed in
    single steps of the interpreter.
    """

    __slots__ = ("_gates", "_items")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._gates: deque[threading.Lock] = deque()

    def put(self, item: T) -> None:
        """Add an item, and wake the first of those who wait."""
        self._items.append(item)
        self._wake()

    def _wake(self) -> None:
        with suppress(IndexError):
            self._gates.popleft().release()

    def get(self, timeout: float | None = None) -> T | None:
        """Wait for an item, at most so many seconds, and return it; None if there is none until then."""
        until = None if timeout is None else time.monotonic() + timeout
        gate = threading.Lock()
        gate.acquire()
        try:
            while True:
                self._gates.append(gate)  # before looking, or an item that comes after it would wake nobody
                if self._items:
                    with suppress(IndexError):  # somebody else was faster
                        return self._items.popleft()
                if not gate.acquire(timeout=_left(until)):
                    return None
        finally:
            self._leave(gate)

    def _leave(self, gate: threading.Lock) -> None:
        """Do not be woken any more; who was woken by an item that is still there wakes the next."""
        try:
            self._gates.remove(gate)
        except ValueError:
            if self._items:
                self._wake()


def _left(until: float | None) -> float:
    return -1 if until is None else min(max(until - time.monotonic(), 0.0), threading.TIMEOUT_MAX)


__all__ = ["Handover"]
