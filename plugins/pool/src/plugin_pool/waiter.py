"""`Waiter`: a task that waits for what it requires, in a thread or on an event loop."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from plugin_pool.records import Tier
from plugin_pool.request import Request

if TYPE_CHECKING:
    from plugin_pool.entity import Entity
    from plugin_pool.lease import Lease
    from plugin_pool.queues import Queue


class Waiter(ABC):
    """A task that waits.

    Args:
        task_id: The task.
        request: What it requires.
        priority: The higher, the sooner.
        ttl: The time to live that its lease is to have.
        until: The worst tier in which it goes on waiting.
        extends: What it holds already and wants more for; None where it holds nothing.

    Attributes:
        key: Who has the least is served first.
        queue: Those that wait for the same; set once it waits.
        since: When it began to wait, by the pool's clock.
        lease: What it holds once it was served.
        got: The entities that it was served with.
        refused: The tier for which it was sent away.
        had: What it held when it was about to be served; None before.
        deadlock: The tasks that would have waited for each other for ever, it among them, if that is why.
    """

    queue: Queue

    def __init__(
        self,
        task_id: str,
        request: Request,
        *,
        priority: float = 0.0,
        ttl: float | None = None,
        until: Tier = Tier.BUSY,
        extends: Lease | None = None,
    ) -> None:
        self.task_id = task_id
        self.request = request
        self.priority = priority
        self.ttl = ttl
        self.until = until
        self.extends = extends
        self.key = (0.0, 0)
        self.since = 0.0
        self.lease: Lease | None = None
        self.got: tuple[Entity, ...] = ()
        self.had: tuple[Entity, ...] | None = None
        self.refused: Tier | None = None
        self.deadlock: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[Entity, ...]:
        """What it holds already, of which it wants nothing once more."""
        return self.extends.entities if self.extends is not None else ()

    @property
    def settled(self) -> bool:
        """True once it got what it waited for, or was sent away."""
        return self.lease is not None or self.refused is not None

    @abstractmethod
    def prepare(self) -> None:
        """Make ready to wait."""

    @abstractmethod
    def wake(self) -> bool:
        """Have it go on; False when there is nobody any more who could. After an interrupt it may be called again."""


class ThreadWaiter(Waiter):
    """A task that waits in a thread of its own."""

    def prepare(self) -> None:
        """Make ready to wait."""
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, timeout: float | None) -> None:
        """Wait until woken, for at most so many seconds."""
        self._gate.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))

    def wake(self) -> bool:
        """Let the thread go on."""
        if self._gate.locked():  # not yet woken
            self._gate.release()
        return True


class LoopWaiter(Waiter):
    """A task that waits on the running event loop."""

    def prepare(self) -> None:
        """Make ready to wait."""
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.get_ident()

    async def wait(self, timeout: float | None) -> None:
        """Wait until woken, for at most so many seconds."""
        if timeout is None:
            await self._woken
        else:
            await asyncio.wait([self._woken], timeout=timeout)

    def wake(self) -> bool:
        """Let the coroutine go on; False when its loop is closed."""
        try:
            if threading.get_ident() == self._thread:
                self._settle()
            else:
                self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:
            return False
        return True

    def _settle(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)
