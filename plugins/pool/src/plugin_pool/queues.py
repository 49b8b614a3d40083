"""`Queue`: tasks that wait for the same; `Move`, a task that leaves it."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

from plugin_pool.request import Request
from plugin_pool.waiter import Waiter

Key = tuple[float, int]


class Queue:
    """Tasks that wait for the same; there is at least one, or it is forgotten.

    Attributes:
        head: The key of who is next.
    """

    def __init__(self, name: object, request: Request) -> None:
        self.name = name
        self.request = request
        self.waiters: dict[str, Waiter] = {}
        self.head: Key = (math.inf, 0)
        self._heap: list[tuple[Key, Waiter]] = []

    def add(self, waiter: Waiter) -> None:
        """Put a task in, by its key."""
        self.waiters[waiter.task_id] = waiter
        heapq.heappush(self._heap, (waiter.key, waiter))
        self.head = self._heap[0][0]

    def remove(self, waiter: Waiter) -> None:
        """Take a task out, wherever it is."""
        del self.waiters[waiter.task_id]
        if len(self._heap) > 2 * len(self.waiters) + 8:
            self._heap = [(one.key, one) for one in self.waiters.values()]
            heapq.heapify(self._heap)
        while self._heap and self.waiters.get((first := self._heap[0][1]).task_id) is not first:
            heapq.heappop(self._heap)
        if self._heap:
            self.head = self._heap[0][0]

    @property
    def first(self) -> Waiter:
        """Who is next."""
        return self._heap[0][1]


class Move(NamedTuple):
    """A task that leaves the line or is served, which must be finished where it is interrupted.

    Attributes:
        waiter: The task.
        back: True where it waits again if it has not got anything yet.
        wakes: True where it is to be woken.
    """

    waiter: Waiter
    back: bool
    wakes: bool = True
