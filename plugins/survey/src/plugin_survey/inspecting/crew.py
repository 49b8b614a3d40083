"""`Crew`: worker processes, each an entity of the capability pool that a task must hold while it uses it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from framework.errors import ResourceLimitError
from plugin_survey.budget import Confines

TYPE = "survey_worker"
"""The type of the entities."""
CAPABILITIES = ("fingerprint", "check", "text")
"""What each of them can do."""


class Executor(Protocol):
    """What is needed of an executor of one process."""

    executor: Any

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in the process."""

    async def release(self) -> None:
        """End the process."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One process, by the name of its entity."""

    name: str
    executor: Executor

    def processes(self) -> list[Any]:
        """Return the process, which has `pid` and `signal`, where it has been started."""
        return list(self.executor.executor.workers_alive())


class Crew:
    """Some worker processes, which tasks take in turn.

    Args:
        executors: Executors of one process each.
        pool: The capability pool, in which each becomes an entity; None where there is none.
        confines: What each of them may take.
        confine: Returns what each may take, by what all have now.
    """

    def __init__(
        self,
        executors: Sequence[Executor],
        pool: Any = None,
        confines: Confines | None = None,
        confine: Callable[[], Confines] = Confines,
    ) -> None:
        self.confines = confines or Confines()
        self._confine = confine
        self.workers = [Worker(f"survey-{os.getpid()}-{n}", one) for n, one in enumerate(executors, 1)]
        self._by_name = {one.name: one for one in self.workers}
        self._pool = pool
        self._idle: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        self._numbers = itertools.count(1)
        self._waiting: list[str] = []
        for worker in self.workers:
            if pool is None:
                self._idle.put_nowait(worker)
            else:
                pool.add_resource({"id": worker.name, "type": TYPE, "capabilities": dict.fromkeys(CAPABILITIES, 10)})

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in the next process that is free; it is a fingerprint as far as the pool is told."""
        return await self.work("fingerprint", "files", lambda one: one.executor.run(function, *args))

    async def work(self, capability: str, what: str, use: Callable[[Worker], Awaitable[Any]]) -> Any:
        """Use the next worker that is free.

        Args:
            capability: What it must be able to do.
            what: What it is for, in the name of the task.
            use: Is given the worker.
        """
        async with self._held(capability, f"survey-{os.getpid()} {capability} {what} {next(self._numbers)}") as worker:
            return await use(worker)

    @asynccontextmanager
    async def _held(self, capability: str, task: str) -> AsyncIterator[Worker]:
        if self._pool is None:
            worker = await self._idle.get()
            try:
                yield worker
            finally:
                self._idle.put_nowait(worker)
            return
        self._waiting.append(task)
        try:
            lease = await self._pool.acquire_async(task, {"type": TYPE, "capabilities": {capability: 1}})
        finally:
            self._waiting.remove(task)
        try:
            lease.mark_executing()
            yield self._by_name[lease.resources[0]]
        finally:
            # a task that fails has done nothing to its worker: a process that died is replaced
            lease.release("completed")

    def waiting(self) -> list[str]:
        """Return, for each task that waits for a worker, why: a sentence of the pool's."""
        return [self._pool.explain(task).sentence for task in self._waiting]

    def stop(self) -> None:
        """Kill the processes; what they run is lost, and not tried again."""
        for worker in self.workers:
            worker.executor.executor.stop(0.0, force=True)

    async def reduce(self) -> None:
        """End all workers but one, and let that one have what they had; no task may hold one."""
        await self.dismiss(but=1)
        with suppress(ResourceLimitError):  # then it keeps what it had
            self.confines = self._confine()
        self.confines = replace(self.confines, last=True)

    async def dismiss(self, *, but: int = 0) -> None:
        """Take workers out of the pool and end the processes; no task may hold one. Twice is harmless."""
        if self._pool is None:
            while self._idle.qsize() > but:
                self._idle.get_nowait()
        while len(self.workers) > but:
            worker = self.workers.pop(0)
            if self._pool is not None:
                self._pool.remove_resource(worker.name)
            await worker.executor.release()
