"""`take_survey`, the whole survey in one call: from roots to a finished catalogue and what the report is made of."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plugin_survey.catalogue import Catalogue, Run
from plugin_survey.duplicates import find_groups
from plugin_survey.engine import Engine, Workers
from plugin_survey.fingerprint import ALGORITHM, Identity
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
    """Survey the roots and write the catalogue into an empty file.

    Args:
        request: What to survey.
        catalogue_path: The empty file.
        threads: An executor for everything that blocks, best of two threads more than `workers`.
        workers: How many files are read at once.
        processes: Acquires an executor of processes, asked for only when there are many files.
        progress: Shows how far it got; nothing does when none is given.
        own: Files to pass over in silence, because the survey itself writes them.
        shown_as: Where the catalogue will be published, for messages.

    Raises:
        ResourceError: The catalogue cannot be written, or an executor broke.
    """
    started, clock = time.time(), time.monotonic()
    catalogue = Catalogue(catalogue_path, shown_as=shown_as)
    try:
        with progress or Quiet() as shown:
            engine = Engine(
                request.walker, catalogue, threads, workers=workers, processes=processes, progress=shown, own=own
            )
            await engine.run()
        found = Findings(request.roots, ALGORITHM, request.min_size, started, counts=engine.walker.counts)
        await threads.run(_evaluate, catalogue, request, found, engine.durations)
    finally:
        catalogue.close()
    found.durations.total = time.monotonic() - clock
    return found


def _evaluate(catalogue: Catalogue, request: Request, found: Findings, durations: Durations) -> None:
    started = time.monotonic()
    catalogue.index()
    found.groups = find_groups(catalogue.twins(request.min_size))
    durations.duplicates = time.monotonic() - started
    found.names, found.files, found.bytes = catalogue.totals()
    found.problems = list(catalogue.problems())
    options = {
        "exclude": request.exclude,
        "one_file_system": request.one_file_system,
        "min_size": request.min_size,
    }
    catalogue.finish(Run(found.started_at, [path_entry(root) for root in request.roots], options, ALGORITHM))
    durations.catalogue += time.monotonic() - started - durations.duplicates
    found.durations = durations
