"""The command `framework survey`."""

from __future__ import annotations

import asyncio
import functools
import os
from contextlib import AsyncExitStack
from typing import Any, Protocol

import click

from framework import CommandContext
from plugin_survey import progress
from plugin_survey.draft import drafted
from plugin_survey.places import Places, absolute_roots, check_targets, identities, places
from plugin_survey.report import Findings, group_rows, make_report, summary_rows, write_report
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
@click.option("--report", metavar="FILE", type=click.Path(), help="Where the JSON report goes.")
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
    report: str | None,
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
    check_targets(catalogue, report)
    context: Context = ctx.obj
    found = asyncio.run(
        _survey(context, request, catalogue=catalogue, report=report, workers=workers or _cpus(), quiet=quiet)
    )
    if found.problems:
        context.message(f"survey: {len(found.problems):,} files or folders could not be read; the report names them")
        ctx.exit(FAILED)


async def _survey(
    context: Context, request: Request, *, catalogue: str | None, report: str | None, workers: int, quiet: bool
) -> Findings:
    shown = progress.choose(context.message, quiet=quiet, interactive=context.interactive)
    async with context.open() as framework:
        with places(request.roots, catalogue, report, lambda: framework.state_directory(OWNER)) as targets:
            found, content = await _publish(context, framework, request, targets, workers, shown)
    _show(context, found, content)
    if not quiet:
        context.message(f"catalogue: {targets.catalogue}\nreport: {targets.report}")
    return found


async def _publish(
    context: Context, framework: Any, request: Request, targets: Places, workers: int, shown: progress.Progress
) -> tuple[Findings, dict[str, Any]]:
    """Take the survey; nothing appears in the target places unless all of it succeeded."""
    async with AsyncExitStack() as stack:
        # first, so that what writes it has ended before it is kept or goes
        draft = stack.enter_context(drafted(targets.catalogue, context.message))

        async def acquire(kind: str, **parameters: Any) -> Any:
            return await stack.enter_async_context(framework.acquire(kind, owner=OWNER, **parameters))

        document = await acquire("file.temp", directory=os.path.dirname(targets.report))
        # after the files, so that it has ended before they go; two more, for the walk and for counting ahead
        threads = await acquire("executor.thread", workers=workers + 2)
        found = await take_survey(
            request,
            draft.path,
            threads,
            workers=workers,
            processes=lambda: acquire("executor.process", workers=workers),
            progress=shown,
            own=targets.identities() | identities(document.path),
            shown_as=targets.catalogue,
        )
        content = make_report(found)
        write = functools.partial(write_report, shown_as=targets.report)
        await threads.run(write, content, str(document.path))
        await threads.run(draft.publish)
        await document.keep_as(targets.report)
    return found, content


def _show(context: Context, found: Findings, content: dict[str, Any]) -> None:
    if context.format != "table":
        context.emit(content)
        return
    context.emit(summary_rows(content), columns=("what", "found"))
    if found.groups:
        context.emit([])
        context.emit(group_rows(found.groups[:SHOWN_GROUPS]), columns=("wasted", "size", "files", "example"))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
