"""`take_survey`, the whole survey in one call: from roots to a finished catalogue and what the report is made of."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from plugin_survey.catalogue import Catalogue, Outcome, Run
from plugin_survey.duplicates import find_groups
from plugin_survey.engine import Engine, Workers
from plugin_survey.fingerprint import ALGORITHM, Identity
from plugin_survey.places import identities
from plugin_survey.progress import Progress, Quiet
from plugin_survey.report import Durations, Findings, path_entry
from plugin_survey.walk import Walker


@dataclass(frozen=True, slots=True)
class Request:
    """What to survey. `roots` are absolute paths, `min_size` is the size in bytes from which on duplicates count."""

    roots: tuple[bytes, ...]
    exclude: tuple[str, ...] = ()
    one_file_system: bool = False
    min_size: int = 1

    def run(self, started_at: float) -> Run:
        """Return what the catalogue says of a run that begins."""
        options = {"exclude": self.exclude, "one_file_system": self.one_file_system, "min_size": self.min_size}
        return Run(started_at, [path_entry(root) for root in self.roots], options, ALGORITHM)

    def walker(self) -> Walker:
        """Return a walker at its start."""
        return Walker(self.roots, exclude=self.exclude, one_file_system=self.one_file_system)


async def take_survey(
    request: Request,
    catalogue_path: str,
    threads: Workers,
    *,
    workers: int,
    processes: Callable[[], Awaitable[Workers]] | None = None,
    progress: Progress | None = None,
    own: frozenset[Identity] = frozenset(),
    shown_as: str = "",
) -> Findings:
    """Survey the roots and bring a catalogue up to date. What was entered stays there also when this fails.

    Args:
        request: What to survey.
        catalogue_path: The catalogue, or an empty file.
        threads: An executor for everything that blocks, best of two threads more than `workers`.
        workers: How many files are read at once.
        processes: Acquires an executor of processes, asked for only when there are many files.
        progress: Shows how far it got; nothing does when none is given.
        own: Files to pass over in silence, because the survey itself writes them.
        shown_as: Where the catalogue will be published, for messages.

    Raises:
        ResourceError: The catalogue cannot be written, or an executor broke.
    """
    clock = time.monotonic()
    found = Findings(request.roots, ALGORITHM, request.min_size, time.time())
    catalogue = Catalogue(catalogue_path, request.run(found.started_at), shown_as=shown_as)
    try:
        own |= identities(catalogue_path, catalogue_path + "-journal")
        with progress or Quiet() as shown:
            engine = Engine(
                request.walker, catalogue, threads, workers=workers, processes=processes, progress=shown, own=own
            )
            await engine.run()
        found.counts, found.recalled = engine.walker.counts, engine.recalled
        await threads.run(_evaluate, catalogue, request, found, engine.durations)
    finally:
        catalogue.close(commit=True)
    found.durations.total = time.monotonic() - clock
    return found


def _evaluate(catalogue: Catalogue, request: Request, found: Findings, durations: Durations) -> None:
    started = time.monotonic()
    catalogue.conclude()
    found.groups = find_groups(catalogue.twins(request.min_size))
    durations.duplicates = time.monotonic() - started
    found.names, found.files, found.bytes = catalogue.totals()
    found.problems = list(catalogue.problems())
    catalogue.finish(Outcome(asdict(found.counts), asdict(durations)))
    durations.catalogue += time.monotonic() - started - durations.duplicates
    found.durations = durations
