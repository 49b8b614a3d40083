"""The command `framework survey`."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import AsyncExitStack
from typing import Any, Protocol

import click

from framework import CommandContext
from plugin_survey import progress
from plugin_survey.gathering import gather
from plugin_survey.outputs import Output, outputs
from plugin_survey.overview import Overview, Setting
from plugin_survey.places import Places, absolute_roots, check_catalogue, identities, places
from plugin_survey.report import group_rows, make_report, summary_rows
from plugin_survey.survey import Request, take_survey

OWNER = "survey"
SHOWN_GROUPS = 10
"""Duplicate groups in the table; the report has all."""
FAILED = 1


class Context(CommandContext, Protocol):
    """The command line's context, with the output format that the user chose."""

    format: str


@click.command("survey")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
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
@click.option("--quiet", is_flag=True, help="Show neither progress nor where the files are.")
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
    quiet: bool,
) -> None:
    """Fingerprint every file below PATH..., find duplicates, and write a catalogue and a report.

    By default both are written to the user's state directory. Symbolic links are not followed; hard links are one
    file. Exits with 1 when something could not be read.
    """
    request = Request(absolute_roots(paths), exclude, one_file_system, min_size)
    written = outputs(reports, force=force)
    if catalogue is not None:
        check_catalogue(catalogue, written)
    context: Context = ctx.obj
    overview = asyncio.run(
        _survey(context, request, catalogue=catalogue, reports=written, workers=workers or _cpus(), quiet=quiet)
    )
    if overview.problems:
        context.message(f"survey: {len(overview.problems):,} files or folders could not be read; the report names them")
        ctx.exit(FAILED)


async def _survey(
    context: Context,
    request: Request,
    *,
    catalogue: str | None,
    reports: tuple[Output, ...],
    workers: int,
    quiet: bool,
) -> Overview:
    shown = progress.choose(context.message, quiet=quiet, interactive=context.interactive)
    async with context.open() as framework:
        with places(request.roots, catalogue, reports, lambda: framework.state_directory(OWNER)) as targets:
            overview = await _publish(framework, request, targets, workers, shown)
    _show(context, overview)
    if not quiet:
        context.message(f"catalogue: {targets.catalogue}")
        for report in targets.reports:
            context.message(f"report: {report.path}")
    return overview


async def _publish(
    framework: Any, request: Request, targets: Places, workers: int, shown: progress.Progress
) -> Overview:
    """Take the survey; nothing appears in the target places unless all of it succeeded."""
    async with AsyncExitStack() as stack:

        async def acquire(kind: str, **parameters: Any) -> Any:
            return await stack.enter_async_context(framework.acquire(kind, owner=OWNER, **parameters))

        database = await acquire("file.temp", directory=os.path.dirname(targets.catalogue))
        drafts = [await acquire("file.temp", directory=report.folder) for report in targets.reports]
        scratch = await acquire("file.directory")
        # after the files, so that it has ended before they go; two more, for the walk and for counting ahead
        threads = await acquire("executor.thread", workers=workers + 2)
        stop = threading.Event()
        stack.callback(stop.set)  # before the threads are given back, who are waited for
        found = await take_survey(
            request,
            str(database.path),
            threads,
            workers=workers,
            processes=lambda: acquire("executor.process", workers=workers),
            progress=shown,
            own=targets.identities() | identities(database.path, *(draft.path for draft in drafts)),
            shown_as=targets.catalogue,
        )
        overview: Overview = await threads.run(gather, found, str(database.path), _settings(request, workers))
        for report, draft in zip(targets.reports, drafts, strict=True):
            await threads.run(report.write, overview, str(draft.path), str(scratch.path), stop.is_set)
        await database.keep_as(targets.catalogue)
        for report, draft in zip(targets.reports, drafts, strict=True):
            await draft.keep_as(report.path)
    return overview


def _settings(request: Request, workers: int) -> dict[str, Setting]:
    return {"exclude": request.exclude, "one_file_system": request.one_file_system, "workers": workers}


def _show(context: Context, overview: Overview) -> None:
    content = make_report(overview)
    if context.format != "table":
        context.emit(content)
        return
    context.emit(summary_rows(content), columns=("what", "found"))
    if overview.duplicates:
        context.emit([])
        context.emit(group_rows(overview.duplicates[:SHOWN_GROUPS]), columns=("wasted", "size", "files", "example"))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
