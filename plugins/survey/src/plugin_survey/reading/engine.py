"""`Engine` drives a survey: it walks, fingerprints and catalogues at the same time, in bounded memory.

It holds one portion of the walk at most. Small files go to workers in batches that end after a fraction of a second
and hand back what is left, so that slow or uneven files are shared out; a large file is one job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from framework.errors import FrameworkError
from plugin_survey.cataloguing.catalogue import Catalogue
from plugin_survey.durations import Durations
from plugin_survey.problem import Problem
from plugin_survey.reading.fingerprint import Batch, Identity, LargeFiles, fingerprint_batch
from plugin_survey.reading.recall import Recall
from plugin_survey.reading.walk import Walker
from plugin_survey.status import Stage

BATCH_SECONDS = 0.1
"""When a batch hands back what it did not get to; also how long an interrupted survey waits for one."""
SHORT_BATCH = 0.02
"""A batch that took less is made longer, because handing it over costs as much as a few files."""
MOST_IN_BATCH = 1024
MANY_FILES = 8192
"""From this many files on, starting worker processes costs less than it saves."""


class Workers(Protocol):
    """What the engine needs of an executor."""

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function in a worker."""


class Engine:
    """Fills a catalogue with what a walk finds.

    Args:
        make_walker: Returns a walker at its start; a second one is used to count ahead for the progress.
        catalogue: Where everything goes.
        threads: Run the walk and the large files, and at first the small files too. Two more than `workers` keep the
            walk, and the counting ahead, from waiting for files.
        workers: How many files are read at once.
        processes: Acquires workers that do not share this interpreter's lock, for trees of many files; None where
            there are none.
        stage: Where its progress goes.
        counting: Whether all files are to be counted ahead, for the progress.
        own: Files that the survey writes itself.
        failed: Is told which file or folder could not be read, and why.

    Attributes:
        walker: What walks, with what it counted.
        durations: How long the stages took.
        recalled: Files that were not read, because the catalogue has them and they have not changed.
    """

    def __init__(
        self,
        make_walker: Callable[[], Walker],
        catalogue: Catalogue,
        threads: Workers,
        *,
        workers: int,
        processes: Callable[[], Awaitable[Workers]] | None,
        stage: Stage,
        counting: bool = False,
        own: frozenset[Identity] = frozenset(),
        failed: Callable[[bytes, str], None] = lambda _path, _cause: None,
    ) -> None:
        self.walker = make_walker()
        self.durations = Durations()
        self.recalled = 0
        self._make_walker = make_walker
        self._catalogue = catalogue
        self._threads = threads
        self._workers = workers
        self._small: Workers = threads
        self._processes = processes
        self._stage = stage
        self._counting = counting
        self._own = own
        self._failed = failed
        self._recall = Recall(catalogue, own) if catalogue.goes_on else None
        self._unknown = 0
        self._large = LargeFiles()
        self._waiting: list[bytes] = []
        self._waiting_large: list[bytes] = []
        self._walked = False
        self._busy = 0
        self._changed = asyncio.Condition()
        self._many = asyncio.Event()
        self._batch = 64
        self._small_bytes = 0

    @property
    def bytes_read(self) -> int:
        """Bytes read so far, those of unfinished files included."""
        return self._small_bytes + self._large.bytes_read

    async def run(self) -> None:
        """Survey everything; when this ends early, for whatever reason, workers are told to stop.

        Raises:
            ResourceError: The catalogue cannot be written, or an executor broke.
        """
        try:
            async with asyncio.TaskGroup() as helpers:
                helping = [helpers.create_task(self._count_ahead())] if self._counting else []
                if self._processes is not None:
                    helping.append(helpers.create_task(self._grow(self._processes)))
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._workers):
                        group.create_task(self._work())
                for helper in helping:
                    helper.cancel()
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        finally:
            self._large.stop()

    async def _work(self) -> None:
        while (job := await self._next()) is not None:
            try:
                if isinstance(job, bytes):
                    await self._read_large(job)
                else:
                    await self._read_small(job)
            finally:
                self._busy -= 1
                async with self._changed:
                    self._changed.notify_all()

    async def _next(self) -> bytes | list[bytes] | None:
        """Return a large file, a batch of small ones, or None when there will be no more of either."""
        async with self._changed:
            while True:
                if self._waiting_large:
                    self._busy += 1
                    return self._waiting_large.pop()
                if not self._waiting and not self._walked:
                    await self._walk()
                elif self._waiting:
                    self._busy += 1
                    batch = self._waiting[-self._batch :]
                    del self._waiting[-self._batch :]
                    return batch
                elif self._busy:
                    await self._changed.wait()  # a batch may hand something back
                else:
                    return None

    async def _walk(self) -> None:
        started = time.monotonic()
        found = await self._threads.run(self._portion)
        self.durations.walk += time.monotonic() - started
        if found is None:
            self._walked = True
        else:
            self._waiting += found  # a batch may have handed something back meanwhile
            self._unknown += len(found)
            if self._unknown >= MANY_FILES:
                self._many.set()
        self._enter([], self.walker.take_problems())

    def _portion(self) -> list[bytes] | None:
        """Return some more files that must be read."""
        found = self.walker.portion()
        if not found or self._recall is None:
            return found
        recalled = self._recall.recall(found)
        self.recalled += recalled.files
        self._stage.done += recalled.files
        return recalled.unknown

    async def _read_small(self, paths: list[bytes]) -> None:
        workers = self._small
        try:
            batch: Batch = await workers.run(fingerprint_batch, paths, self._own, BATCH_SECONDS)
        except FrameworkError:
            if workers is self._threads:
                raise
            # a worker process died, perhaps for want of memory: threads do it again
            self._small = self._threads
            self._waiting += paths
            return
        self.durations.fingerprint += batch.seconds
        self._waiting += batch.rest
        self._waiting_large += batch.large
        if batch.rest:
            self._batch = max(1, (len(paths) - len(batch.rest)) // 2)
        elif batch.seconds < SHORT_BATCH:
            self._batch = min(MOST_IN_BATCH, self._batch * 2)
        self._stage.done += len(paths) - len(batch.rest) - len(batch.large)
        self._small_bytes += sum(row[1] for row in batch.rows)
        self._enter(batch.rows, batch.problems)

    async def _read_large(self, path: bytes) -> None:
        started = time.monotonic()
        found = await self._threads.run(self._large.fingerprint, path)
        self.durations.fingerprint += time.monotonic() - started
        self._stage.done += 1
        if isinstance(found, Problem):
            self._enter([], [found])
        else:
            self._enter([found], [])

    def _enter(self, rows: list[Any], problems: list[Problem]) -> None:
        # here and not in a worker: a batch takes about a millisecond, less than handing it over
        started = time.monotonic()
        for problem in problems[-1:]:
            self._failed(problem.path, problem.detail)
        if rows or problems:
            self._catalogue.add(rows, problems)
        self.durations.catalogue += time.monotonic() - started

    async def _count_ahead(self) -> None:
        walker, total = self._make_walker(), 0
        while (found := await self._threads.run(walker.portion)) is not None:
            total += len(found)
        self._stage.total = total

    async def _grow(self, processes: Callable[[], Awaitable[Workers]]) -> None:
        await self._many.wait()
        try:
            workers = await processes()
            # until they have started and imported, threads go on with the work
            await asyncio.gather(
                *(workers.run(fingerprint_batch, [], frozenset(), BATCH_SECONDS) for _ in range(self._workers))
            )
        except FrameworkError:
            return  # they only make it faster
        self._small = workers


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that came first: what a task group adds to it is of no use to people."""
    first = failures.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
