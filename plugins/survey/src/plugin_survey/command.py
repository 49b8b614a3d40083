"""The command `framework survey`."""

from __future__ import annotations

import asyncio
import functools
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import click

from framework import CommandContext
from framework.errors import FrameworkError, ResourceUnavailableError
from plugin_survey import progress
from plugin_survey.budget import Budget
from plugin_survey.cataloguing.catalogue import CatalogueDamagedError
from plugin_survey.cataloguing.draft import drafted
from plugin_survey.inspecting.chaos import Kills
from plugin_survey.lender import Lender
from plugin_survey.places import Places, absolute_roots, check_catalogue, identities, places
from plugin_survey.reading.glance import glance
from plugin_survey.reporting.gathering import explained, gather, opened
from plugin_survey.reporting.outputs import Output, absent_reports, check_free, check_still_free, outputs
from plugin_survey.reporting.overview import Overview, Setting
from plugin_survey.reporting.report import group_rows, json_lines, lazy_report, summary_rows
from plugin_survey.shown import human, named
from plugin_survey.sizes import Size
from plugin_survey.survey import Request, take_survey
from plugin_survey.use.diff_command import diff
from plugin_survey.use.duplicates_command import duplicates
from plugin_survey.use.group import OwnArgument, SurveyGroup
from plugin_survey.use.query_command import query
from plugin_survey.use.verify_command import verify

OWNER = "survey"
SHOWN_GROUPS = 10
"""Duplicate groups in the table; the report has all."""
FAILED = 1


class Context(CommandContext, Protocol):
    """The command line's context, with the output format that the user chose."""

    format: str


@click.group("survey", cls=SurveyGroup)
@click.argument("paths", cls=OwnArgument, metavar="PATH...", nargs=-1, required=True, type=click.Path())
@click.option("--catalogue", metavar="FILE", type=click.Path(), help="Where the SQLite catalogue goes.")
@click.option(
    "--report",
    "reports",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="Where a report goes: a page (.html), data (.json) or a workbook (.xlsx); may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace reports that exist.")
@click.option("--workers", type=click.IntRange(1, 256), help="Files read at once; default: the number of CPUs.")
@click.option(
    "--min-size",
    metavar="BYTES",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Smallest file that counts as a duplicate; 0 includes empty ones.",
)
@click.option("--one-file-system", is_flag=True, help="Do not enter folders on other file systems.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Leave out what matches; may be repeated.")
@click.option("--check", is_flag=True, help="Look whether archives, pictures and documents are damaged.")
@click.option("--index", is_flag=True, help="Extract text and make a full-text index of it.")
@click.option("--near", is_flag=True, help="Find texts that are nearly equal, too; needs --index.")
@click.option(
    "--max-memory",
    metavar="SIZE",
    type=Size(),
    help="What all processes together may take, such as 256MiB; default: no limit.",
)
@click.option(
    "--chaos",
    "kills",
    metavar="kill=N",
    type=Kills(),
    default=0,
    help="Kill N worker processes meanwhile; what comes out is the same; needs --check or --index.",
)
@click.option(
    "--watch",
    metavar="SECONDS",
    type=click.FloatRange(0.1),
    help="Go on, and look again so many seconds after each survey, until interrupted.",
)
@click.option(
    "--progress",
    "shown",
    type=click.Choice(progress.CHOICES),
    default=progress.AUTO,
    show_default=True,
    help="How it is told how far it is, on standard error; json is a line a second, for programs.",
)
@click.option(
    "--quiet", is_flag=True, help="Show neither where the files are nor, unless --progress is given, progress."
)
@click.pass_context
def survey(
    ctx: click.Context,
    *,
    paths: tuple[str, ...],
    catalogue: str | None,
    reports: tuple[str, ...],
    force: bool,
    workers: int | None,
    min_size: int,
    one_file_system: bool,
    exclude: tuple[str, ...],
    check: bool,
    index: bool,
    near: bool,
    max_memory: int | None,
    kills: int,
    watch: float | None,
    shown: str,
    quiet: bool,
) -> None:
    """Fingerprint every file below PATH..., find duplicates, and write a catalogue and a report.

    By default both are written to the user's state directory. Symbolic links are not followed; hard links are one
    file. Exits with 1 when something could not be read.

    The commands below work on the catalogue afterwards. A folder that has the name of one is surveyed as ./NAME.
    """
    if kills and not (check or index):
        raise click.UsageError("--chaos kills the processes that look into files: add --check or --index.")
    if near and not index:
        raise click.UsageError("--near compares texts, which --index extracts: add it.")
    request = Request(absolute_roots(paths), exclude, one_file_system, min_size, check, index, near, kills)
    written = outputs(reports)
    if catalogue is not None:
        check_catalogue(catalogue, written)
    context: Context = ctx.obj
    shown = progress.NONE if quiet and shown == progress.AUTO else shown
    options = Options(workers or _cpus(), Budget(max_memory), shown, watch, quiet=quiet, force=force)
    overview = asyncio.run(_survey(context, request, catalogue, written, options))
    if overview.problems:
        context.message(f"survey: {len(overview.problems):,} files or folders could not be read; the report names them")
        ctx.exit(FAILED)


for _command in (diff, duplicates, query, verify):
    survey.add_command(_command)


@dataclass(frozen=True, slots=True)
class Options:
    """How to survey: how many files are read at once, what is said meanwhile, and whether reports are replaced."""

    workers: int
    budget: Budget
    progress: str
    watch: float | None
    quiet: bool
    force: bool


async def _survey(
    context: Context, request: Request, catalogue: str | None, reports: tuple[Output, ...], options: Options
) -> Overview:
    async with context.open() as framework:
        with places(request.roots, catalogue, reports, lambda: framework.state_directory(OWNER)) as targets:
            if not options.force:
                check_free(reports, targets.publication.unfinished())
            before = await _glance(framework, request, targets) if options.watch is not None else 0
            overview = await _publish(
                context, framework, request, targets, options, lambda found: _show(context, found)
            )
            if not options.quiet:
                context.message(f"catalogue: {named(targets.catalogue)}")
                for report in targets.reports:
                    context.message(f"report: {named(report.path)}")
            while options.watch is not None:
                await asyncio.sleep(options.watch)
                former, before = before, await _glance(framework, request, targets)
                if before == former and targets.are_there():
                    continue
                last = overview
                later = replace(options, progress=progress.NONE)
                overview = await _publish(context, framework, request, targets, later, lambda _: None)
                _tell(context, last, overview)
    return overview


async def _glance(framework: Any, request: Request, targets: Places) -> int:
    """Return what all that is surveyed looks like; taken before a survey, it is another one after any change since."""
    async with AsyncExitStack() as stack:
        threads = await Lender(framework, stack, OWNER).acquire("executor.thread", workers=1)
        stop = threading.Event()
        stack.callback(stop.set)  # before the thread is given back, which is waited for
        seen: int = await threads.run(glance, request.walker(), targets.identities(), stop.is_set)
        return seen


def _tell(context: Context, former: Overview, overview: Overview) -> None:
    """Say what the last look found, if that was anything."""
    names, read = overview.totals.names, overview.totals.names - overview.recalled
    if read or names != former.totals.names:
        context.message(f"survey: {read:,} files new or changed, {names:,} in all ({human(overview.totals.bytes)})")


async def _publish(
    context: Context,
    framework: Any,
    request: Request,
    targets: Places,
    options: Options,
    show: Callable[[Overview], None],
) -> Overview:
    """Take the survey; nothing appears in the target places unless all of it succeeded.

    What the overview lists is in the catalogue, and can be gone through only by `show`.
    """
    async with AsyncExitStack() as stack:
        lender = Lender(framework, stack, OWNER)
        absent = frozenset() if options.force else absent_reports(targets.reports)
        documents = [await lender.acquire("file.temp", directory=report.folder) for report in targets.reports]
        scratch = await lender.acquire("file.directory")
        readers = stack.enter_context(ExitStack())  # closed when no thread reads any more
        # after the files, so that it has ended before they go; more, for the walk, counting ahead and the catalogue
        threads = await lender.acquire("executor.thread", workers=options.workers + 3)
        means = await lender.means(threads, options.workers, options.budget, deep=request.check or request.index)
        stop = threading.Event()
        stack.callback(stop.set)  # before the threads are given back, who are waited for
        # when all plugins have started: the kernel does not trust one again during whose start the program was killed
        draft = stack.enter_context(drafted(targets.catalogue, context.message))
        own = targets.identities() | identities(*(document.path for document in documents))
        survey = functools.partial(take_survey, request, draft.path, means, own=own, shown_as=targets.catalogue)
        shown = functools.partial(progress.choose, options.progress, context.message, interactive=context.interactive)
        settings = _settings(request, options)

        async def make() -> Overview:
            found = await survey(progress=shown())
            with explained(draft.path):
                database = readers.enter_context(opened(draft.path))
                stack.callback(_interrupt, database)
                gathering = functools.partial(gather, found, database, settings, kills=request.kills)
                overview: Overview = await threads.run(gathering)
                for report, document in zip(targets.reports, documents, strict=True):
                    await threads.run(report.write, overview, str(document.path), str(scratch.path), stop.is_set)
            return overview

        try:
            overview = await make()
        except CatalogueDamagedError:
            readers.close()  # which gives up its lock
            draft.renew()
            overview = await make()
        paths = [report.path for report in targets.reports]
        with targets.publication.noted(zip(paths, (str(document.path) for document in documents), strict=True)):
            draft.publish()
            await _put(targets, documents, absent)
        show(overview)
    return overview


def _interrupt(database: sqlite3.Connection) -> None:
    with suppress(sqlite3.ProgrammingError):  # closed already
        database.interrupt()


async def _put(targets: Places, documents: list[Any], absent: frozenset[str]) -> None:
    """Put each report in its place, also when another one cannot be put there.

    Args:
        targets: Where they go.
        documents: The reports.
        absent: Paths at which nothing was when the survey began, so that nothing is to be replaced.

    Raises:
        ResourceUnavailableError: One could not, though the catalogue is published.
    """
    failures = []
    for report, document in zip(targets.reports, documents, strict=True):
        try:
            if report.path in absent:
                check_still_free(report)
            await document.keep_as(report.path)
        except FrameworkError as error:
            failures.append(error)
    if failures:
        raise ResourceUnavailableError(
            f"The catalogue {targets.catalogue} is up to date, but not every report could be put in its place: "
            + " ".join(str(one) for one in failures),
            "Make it possible and run the same command again, or choose another place: no file is read again for that.",
            resource=targets.catalogue,
        )


def _settings(request: Request, options: Options) -> dict[str, Setting]:
    settings = request.options() | {"workers": options.workers, "max_memory": options.budget.limit}
    return {name: value for name, value in settings.items() if name != "min_size"}


def _show(context: Context, overview: Overview) -> None:
    if context.format == "json":  # a line for each entry, in the time of a fortieth
        sys.stdout.writelines(json_lines(overview))
        return
    if context.format != "table":
        context.emit(lazy_report(overview))
        return
    context.emit(summary_rows(overview), columns=("what", "found"))
    if overview.duplicates:
        context.emit([])
        groups = group_rows(islice(overview.duplicates, SHOWN_GROUPS))
        context.emit(groups, columns=("wasted", "size", "files", "example"))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
