"""`take_survey`, the whole survey in one call: from roots to a finished catalogue and what the report is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from plugin_survey.budget import Budget
from plugin_survey.cataloguing.catalogue import Catalogue, Outcome, Run
from plugin_survey.duplicates import index_groups
from plugin_survey.inspecting.chaos import Chaos
from plugin_survey.inspecting.contents import Contents
from plugin_survey.inspecting.crew import Crew
from plugin_survey.inspecting.inspector import Inspector, Memory
from plugin_survey.places import identities
from plugin_survey.progress import Progress, Quiet
from plugin_survey.reading.engine import Engine, Workers
from plugin_survey.reading.fingerprint import ALGORITHM, Identity
from plugin_survey.reading.walk import Walker
from plugin_survey.reporting.overview import NearGroup
from plugin_survey.reporting.report import Findings, path_entry
from plugin_survey.status import FINGERPRINT, NEAR, REPORT, Stage, Status
from plugin_survey.tree_memory import tree_bytes
from plugin_survey.use.choice import Chosen
from plugin_survey.use.near import NearTexts
from plugin_survey.use.reader import reading

TICK = 0.1
"""Seconds between two looks at the progress."""
SAMPLES_EACH = 3
"""Looks after which the memory is measured."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to survey. `roots` are absolute paths, `min_size` is the size in bytes from which on duplicates count.

    `check` asks for integrity, `index` for text, `near` for texts that are nearly equal, among those that were indexed.
    So many workers as `kills` are killed while files are looked into.
    """

    roots: tuple[bytes, ...]
    exclude: tuple[str, ...] = ()
    one_file_system: bool = False
    min_size: int = 1
    check: bool = False
    index: bool = False
    near: bool = False
    kills: int = 0

    def run(self, started_at: float, max_memory: int | None = None) -> Run:
        """Return what the catalogue says of a run that begins."""
        return Run(
            started_at,
            [path_entry(root) for root in self.roots],
            self.options() | {"max_memory": max_memory},
            ALGORITHM,
        )

    def options(self) -> dict[str, Any]:
        """Return everything but the roots."""
        options = asdict(self)
        del options["roots"]
        return options

    def walker(self) -> Walker:
        """Return a walker at its start."""
        return Walker(self.roots, exclude=self.exclude, one_file_system=self.one_file_system)


@dataclass(frozen=True, slots=True)
class Means:
    """What a survey works with.

    Attributes:
        threads: An executor for everything that blocks, best of three threads more than `workers`.
        workers: How many files are read at once.
        crew: Makes worker processes, asked for when there are many files, or files to be looked into; None where there
            are none, and then nothing is looked into.
        memory: The service that chooses sizes of batches.
        budget: What all processes may take together.
    """

    threads: Workers
    workers: int
    crew: Callable[[], Awaitable[Crew]] | None = None
    memory: Memory | None = None
    budget: Budget = field(default_factory=Budget)


async def take_survey(
    request: Request,
    catalogue_path: str,
    means: Means,
    *,
    progress: Progress | None = None,
    own: frozenset[Identity] = frozenset(),
    shown_as: str = "",
) -> Findings:
    """Survey the roots and bring a catalogue up to date. What was entered stays there also when this fails.

    Args:
        request: What to survey.
        catalogue_path: The catalogue, or an empty file.
        means: What to work with.
        progress: Shows how far it got; nothing does when none is given.
        own: Files to pass over in silence, because the survey itself writes them.
        shown_as: Where the catalogue will be published, for messages.

    Raises:
        ResourceError: The catalogue cannot be written, or an executor broke.
    """
    clock = time.monotonic()
    found = Findings(request.roots, ALGORITHM, request.min_size, time.time())
    run = request.run(found.started_at, means.budget.limit)
    catalogue = Catalogue(catalogue_path, run, shown_as=shown_as, cache=means.budget.cache)
    try:
        own |= identities(catalogue_path, catalogue_path + "-journal")
        with progress or Quiet() as shown:
            survey = _Survey(request, catalogue, catalogue_path, means, found, shown)
            try:
                await survey.take(own)
            finally:
                await survey.end()
    finally:
        catalogue.close(commit=True)
    found.durations.total = time.monotonic() - clock
    return found


class _Survey:
    """The stages of one survey, in their order."""

    def __init__(
        self, request: Request, catalogue: Catalogue, path: str, means: Means, found: Findings, progress: Progress
    ) -> None:
        self._request = request
        self._catalogue = catalogue
        self._path = path
        self._means = means
        self._found = found
        self._progress = progress
        self._status = Status(budget=means.budget.limit)
        self._crew: asyncio.Task[Crew] | None = None
        self._ended = False

    async def take(self, own: frozenset[Identity]) -> None:
        await self._fingerprint(own)
        await self._means.threads.run(self._catalogue.conclude)
        if self._request.check or self._request.index:
            async with self._watched(lambda: None):
                await self._inspect()
        if self._crew is not None and self._crew.done():
            await self._crew.result().dismiss()  # what they take is needed for the report
        self._status.begin(REPORT)
        async with self._watched(lambda: None):
            await self._means.threads.run(self._evaluate)
        if self._request.near:
            async with self._watched(lambda: None):
                await self._means.threads.run(self._compare, self._status.begin(NEAR))
        self._status.end()
        self._found.peak_memory, self._found.budget = self._status.peak, self._status.budget

    async def end(self) -> None:
        """Give up what was got, or is being got, where this ended early."""
        self._ended = True
        if self._crew is not None and not self._crew.done():
            self._crew.cancel()
            await asyncio.wait([self._crew])
        elif self._crew is not None and not self._crew.cancelled() and self._crew.exception() is None:
            await self._crew.result().dismiss()

    async def _fingerprint(self, own: frozenset[Identity]) -> None:
        stage = self._status.begin(FINGERPRINT)
        engine = Engine(
            self._request.walker,
            self._catalogue,
            self._means.threads,
            workers=self._means.workers,
            processes=self._hired if self._means.crew is not None else None,
            stage=stage,
            counting=self._progress.wants_total,
            own=own,
            failed=self._status.failed,
        )

        def look() -> None:
            stage.bytes = engine.bytes_read

        async with self._watched(look):
            await engine.run()
        self._found.counts, self._found.recalled = engine.walker.counts, engine.recalled
        self._found.durations = engine.durations

    async def _inspect(self) -> None:
        started = time.monotonic()
        contents = Contents(
            self._catalogue,
            check=self._request.check,
            index=self._request.index,
            budget=self._means.budget.limit,
        )
        work = await self._means.threads.run(contents.prepare)
        if work.contents and self._means.crew is not None:
            inspector = Inspector(
                self._catalogue,
                contents,
                await self._hired(),
                self._means.threads,
                memory=self._means.memory,
                budget=self._means.budget,
                chaos=Chaos(self._request.kills, work.contents, self._catalogue) if self._request.kills else None,
                status=self._status,
            )
            await inspector.run(work.contents)
        self._found.durations.inspect = time.monotonic() - started

    async def _hired(self) -> Crew:
        """Return the workers, which are made when they are first asked for."""
        assert self._means.crew is not None  # noqa: S101 - looked at by who asks
        if self._crew is None:
            self._crew = asyncio.ensure_future(self._means.crew())
        return await asyncio.shield(self._crew)

    @asynccontextmanager
    async def _watched(self, look: Callable[[], None]) -> AsyncIterator[None]:
        """Show the progress and note the memory while a stage runs."""
        watching = asyncio.create_task(self._watch(look))
        try:
            yield
        finally:
            watching.cancel()
            look()

    async def _watch(self, look: Callable[[], None]) -> None:
        ticks = 0
        while True:
            look()
            if self._crew is not None and self._crew.done() and not self._crew.cancelled():
                self._status.waiting = self._crew.result().waiting() if not self._crew.exception() else []
            if ticks % SAMPLES_EACH == 0 or self._status.budget:
                self._sample()
            self._progress.show(self._status)
            ticks += 1
            await asyncio.sleep(TICK)

    def _sample(self) -> None:
        self._status.measured(tree_bytes())
        files = sum(stage.done for stage in self._status.stages)
        size = sum(stage.bytes for stage in self._status.stages)
        stage = self._status.stages[-1].name
        self._catalogue.note_sample(stage, self._status.memory, self._status.budget, files, size)

    def _evaluate(self) -> None:
        found, catalogue, durations = self._found, self._catalogue, self._found.durations
        started = time.monotonic()
        with catalogue.guarded() as database:
            found.groups = index_groups(database, self._request.min_size)
        durations.duplicates = time.monotonic() - started
        found.names, found.files, found.bytes = catalogue.totals()
        catalogue.finish(Outcome(asdict(found.counts), asdict(durations)))
        durations.catalogue += time.monotonic() - started - durations.duplicates

    def _compare(self, stage: Stage) -> None:
        """Look for texts that are nearly equal, in the catalogue that is finished."""

        def tick(texts: int) -> None:
            stage.done += texts
            if self._ended:
                raise InterruptedError

        started = time.monotonic()
        with reading(self._path) as reader:
            stage.total = reader.value("SELECT COUNT(*) FROM text")
            groups = NearTexts(Chosen(reader, None), tick=tick).groups()
        self._found.near = [
            NearGroup(min(one.likeness for one in group), tuple(one.path for one in group)) for group in groups
        ]
        self._found.durations.near = time.monotonic() - started
