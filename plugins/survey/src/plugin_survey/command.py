"""The command `framework survey`."""

from __future__ import annotations

import asyncio
import functools
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import click

from framework import CommandContext
from plugin_survey import inspection, progress
from plugin_survey.budget import Budget
from plugin_survey.chaos import Kills
from plugin_survey.draft import drafted
from plugin_survey.lender import Lender
from plugin_survey.places import Places, absolute_roots, check_targets, identities, places
from plugin_survey.report import Findings, group_rows, make_report, summary_rows, write_report
from plugin_survey.sizes import Size
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
@click.option("--check", is_flag=True, help="Look whether archives, pictures and documents are damaged.")
@click.option("--index", is_flag=True, help="Extract text and make a full-text index of it.")
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
    help="Kill N worker processes meanwhile, which changes nothing; needs --check or --index.",
)
@click.option(
    "--progress",
    "shown",
    type=click.Choice(progress.CHOICES),
    default=progress.AUTO,
    show_default=True,
    help="How it is told how far it is, on standard error; json is a line a second, for programs.",
)
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
    check: bool,
    index: bool,
    max_memory: int | None,
    kills: int,
    shown: str,
    quiet: bool,
) -> None:
    """Fingerprint every file below PATH..., find duplicates, and write a catalogue and a report.

    By default both are written to the user's state directory. Symbolic links are not followed; hard links are one
    file. Exits with 1 when something could not be read.
    """
    if kills and not (check or index):
        raise click.UsageError("--chaos kills the processes that look into files: add --check or --index.")
    request = Request(absolute_roots(paths), exclude, one_file_system, min_size, check, index, kills)
    check_targets(catalogue, report)
    budget = Budget(max_memory)
    options = Options(workers or _cpus(), budget, progress.NONE if quiet else shown, quiet=quiet)
    context: Context = ctx.obj
    found = asyncio.run(_survey(context, request, catalogue, report, options))
    failed = found.verdicts.get(inspection.FAILED, 0)
    if found.problems:
        context.message(f"survey: {len(found.problems):,} files or folders could not be read; the report names them")
    if failed:
        context.message(f"survey: {failed:,} files could not be looked into to their end; the report names them")
    if found.problems or failed:
        ctx.exit(FAILED)


@dataclass(frozen=True, slots=True)
class Options:
    """How to survey: how many files are read at once, and what is said meanwhile."""

    workers: int
    budget: Budget
    progress: str
    quiet: bool


async def _survey(
    context: Context, request: Request, catalogue: str | None, report: str | None, options: Options
) -> Findings:
    async with context.open() as framework:
        with places(request.roots, catalogue, report, lambda: framework.state_directory(OWNER)) as targets:
            found, content = await _publish(context, framework, request, targets, options)
    _show(context, found, content)
    if not options.quiet:
        context.message(f"catalogue: {targets.catalogue}\nreport: {targets.report}")
    return found


async def _publish(
    context: Context, framework: Any, request: Request, targets: Places, options: Options
) -> tuple[Findings, dict[str, Any]]:
    """Take the survey; nothing appears in the target places unless all of it succeeded."""
    async with AsyncExitStack() as stack:
        lender = Lender(framework, stack, OWNER)
        document = await lender.acquire("file.temp", directory=os.path.dirname(targets.report))
        # after the files, so that it has ended before they go; more, for the walk, counting ahead and the catalogue
        threads = await lender.acquire("executor.thread", workers=options.workers + 3)
        means = await lender.means(threads, options.workers, options.budget, deep=request.check or request.index)
        # when all plugins have started: the kernel does not trust one again during whose start the program was killed
        draft = stack.enter_context(drafted(targets.catalogue, context.message))
        found = await take_survey(
            request,
            draft.path,
            means,
            progress=progress.choose(options.progress, context.message, interactive=context.interactive),
            own=targets.identities() | identities(document.path),
            shown_as=targets.catalogue,
        )
        content = make_report(found)
        write = functools.partial(write_report, shown_as=targets.report)
        await threads.run(write, content, str(document.path))
        draft.publish()
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
