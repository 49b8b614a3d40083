"""`Inspector`: has worker processes look into every content once, in batches as large as the memory allows.

A file that ends its worker costs that file only: the other files of its batch are looked into again one by one, and the
one that ends its worker even alone is named, with the cause, and left alone until its content changes. What a worker's
part of the memory does not suffice for is looked into at the end, by one worker that has all of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from framework import limits
from framework.errors import FrameworkError, ResourceLimitError
from plugin_survey.budget import Budget
from plugin_survey.cataloguing.catalogue import Catalogue
from plugin_survey.inspecting.chaos import Chaos, doomed
from plugin_survey.inspecting.contents import Contents
from plugin_survey.inspecting.crew import Crew, Worker
from plugin_survey.inspecting.inspection import FAILED, Inspected, Item, Look, inspect_batch
from plugin_survey.reading.engine import Workers, first_of
from plugin_survey.status import INSPECT, Status

BASE, MOST = 16, 512
"""Files of a batch of a kind of which nothing is known, and of any."""
BATCH_SECONDS = 0.25
"""When a batch hands back what it did not get to."""


class Memory(Protocol):
    """What is used of the service `memory_manager`."""

    def optimize_batch_size(self, base: int, least: int, most: int, *, budget: int | None, name: str) -> int:
        """Return how many items the next batch may have."""

    def explain(self, name: str) -> Any:
        """Return what the last size was chosen for."""

    def learn(self, items: int, used: int, name: str) -> None:
        """Take what so many items took."""


class Inspector:
    """Looks into what a catalogue does not know yet.

    Args:
        catalogue: Where everything comes from and goes.
        contents: What of it is to be looked into.
        crew: The workers.
        threads: Run what waits for the catalogue.
        memory: Chooses the sizes of batches; without it, they are small.
        budget: What all processes may take.
        status: Where its progress goes.
        chaos: What kills workers on request.
        inspect: What a worker does with a batch.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        contents: Contents,
        crew: Crew,
        threads: Workers,
        *,
        memory: Memory | None,
        budget: Budget,
        status: Status,
        chaos: Chaos | None = None,
        inspect: Callable[..., Inspected] = inspect_batch,
    ) -> None:
        self._catalogue = catalogue
        self._contents = contents
        self._crew = crew
        self._threads = threads
        self._memory = memory
        self._confines = crew.confines
        self._budget = budget
        self._status = status
        self._stage = status.begin(INSPECT)
        self._chaos = chaos
        self._look = inspect
        self._suspects: deque[Item] = deque()
        self._greedy: deque[Item] = deque()
        self._returned: deque[list[Item]] = deque()
        self._sizes: dict[str, int] = {}
        self._taking = asyncio.Lock()
        self._busy = 0
        self._hesitating = 0
        self._changed = asyncio.Condition()

    async def run(self, total: int) -> None:
        """Look into everything; when this ends early, for whatever reason, the workers are stopped.

        Args:
            total: How many contents there are.

        Raises:
            ResourceError: The catalogue cannot be written, or no worker can be started.
        """
        self._stage.total = total
        try:
            async with asyncio.TaskGroup() as group:
                # one more than there are workers: it waits for the first that gets free, so that none does
                for _ in range(len(self._crew.workers) + 1):
                    group.create_task(self._work())
            if self._greedy:
                await self._alone()
            await self._threads.run(self._contents.finish)
        except BaseExceptionGroup as failures:
            self._crew.stop()
            raise first_of(failures) from None
        except BaseException:
            self._crew.stop()
            raise

    async def _alone(self) -> None:
        """Look into what memory did not suffice for, one by one, in the only worker that is left."""
        await self._crew.reduce()
        self._confines = self._crew.confines
        while self._greedy:
            await self._have_inspected([self._greedy.popleft()])

    async def _work(self) -> None:
        while (batch := await self._next()) is not None:
            try:
                await self._roomy()
                await self._have_inspected(batch)
            finally:
                self._busy -= 1
                async with self._changed:
                    self._changed.notify_all()

    async def _have_inspected(self, batch: list[Item]) -> None:
        await self._crew.work("check", f"{len(batch)} {batch[0].kind}", lambda worker: self._inspect(worker, batch))

    async def _next(self) -> list[Item] | None:
        """Return a batch, all of one kind, or None when there will be none."""
        while True:
            async with self._taking:
                batch = self._left() or await self._threads.run(self._take)
                if batch:
                    self._busy += 1
                    return batch
            async with self._changed:
                if self._suspects or self._returned:
                    continue
                if not self._busy:
                    return None
                await self._changed.wait()  # a batch may hand something back

    async def _roomy(self) -> None:
        """Wait for the batches that are under way while memory is short."""
        async with self._changed:
            while self._busy - self._hesitating > 1 and self._budget.tight(self._status.memory):
                self._hesitating += 1
                try:
                    await self._changed.wait()
                finally:
                    self._hesitating -= 1

    def _left(self) -> list[Item]:
        if self._returned:
            return self._returned.popleft()
        return [self._suspects.popleft()] if self._suspects else []

    def _take(self) -> list[Item]:
        kind = self._contents.next_kind()
        return self._contents.take(kind, self._size(kind)) if kind is not None else []

    def _size(self, kind: str) -> int:
        return min(self._learnt_size(kind), self._chaos.most if self._chaos else MOST)

    def _learnt_size(self, kind: str) -> int:
        if self._memory is None:
            return BASE
        name = f"survey.{kind}"
        try:
            size = self._memory.optimize_batch_size(BASE, 1, MOST, budget=self._confines.share, name=name)
        except ResourceLimitError:
            size = 1  # the worker finds out whether it really takes too much
        if self._sizes.get(kind) != size:
            self._sizes[kind] = size
            reason = self._memory.explain(name)
            self._catalogue.note_batch(kind, size, reason.bytes_per_item, reason.reason)
        return size

    async def _inspect(self, worker: Worker, batch: list[Item]) -> None:
        victim = self._chaos.victim(worker, len(batch)) if self._chaos else None
        try:
            found = await self._looked(worker, batch, victim)
        except ResourceLimitError:
            raise  # no worker can be started
        except (FrameworkError, MemoryError) as error:
            deaths = getattr(error, "deaths", ())
            if deaths and not deaths[-1].started:
                raise
            if victim is not None and deaths:
                self._returned.append(batch)  # where nothing is tried twice: none of its files is at fault
                return
            await self._failed(worker, batch, error, [str(one) for one in deaths])
        else:
            await self._found(batch, found)

    async def _looked(self, worker: Worker, batch: list[Item], victim: Any) -> Inspected:
        """Have a batch looked into, and meanwhile the process killed that is to be."""
        given = batch, self._confines, BATCH_SECONDS
        found: Inspected
        if self._chaos is None or victim is None:
            found = await worker.executor.run(self._look, *given)
            return found
        killing = asyncio.create_task(self._chaos.kill(victim, worker.name))
        try:
            found = await worker.executor.run(doomed, victim.pid, self._look, *given)
            return found
        finally:
            killing.cancel()

    async def _found(self, batch: list[Item], found: Inspected) -> None:
        if self._memory is not None:
            self._memory.learn(found.done, found.used, f"survey.{batch[0].kind}")
        if rest := batch[found.done :]:
            self._returned.append(rest)
        again = set(found.again)
        self._greedy.extend(item for item in batch if item.number in again)
        for problem in found.problems:
            self._status.failed(problem.path, problem.detail)
        await self._threads.run(self._enter, found.looks, found.problems)
        self._stage.done += found.done - len(again)
        self._stage.bytes += sum(item.size for item in batch[: found.done] if item.number not in again)

    def _enter(self, looks: list[Look], problems: list[Any]) -> None:
        self._contents.enter(looks)
        if problems:
            self._catalogue.add([], problems)
        if self._budget.limit is not None:
            limits.trim()  # texts of any size come and go, and leave holes

    async def _failed(self, worker: Worker, batch: list[Item], error: BaseException, deaths: list[str]) -> None:
        if not deaths and not self._confines.last and len(batch) == 1:
            self._greedy.extend(batch)  # as when a result is too large to be handed back
            return
        one, cause = batch[0], f"it ended its worker: {deaths[-1]}" if deaths else str(error) or type(error).__name__
        path = one.path if len(batch) == 1 else None
        for death in deaths:
            self._catalogue.note_event("died", worker.name, death, path)
        if path is None:
            self._suspects.extend(batch)
            return
        self._status.failed(path, cause)
        await self._threads.run(self._enter, [Look(one.number, FAILED, cause)], [])
        self._stage.done += 1
        self._stage.bytes += one.size
