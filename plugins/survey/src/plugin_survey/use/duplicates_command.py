"""The command `framework survey duplicates`."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from typing import Any

import click

from framework import CommandContext
from framework.errors import ResourceUnavailableError
from plugin_survey.reporting.report import path_entry
from plugin_survey.shown import human
from plugin_survey.use import keep
from plugin_survey.use.choice import catalogue_option, chosen
from plugin_survey.use.copy import Equal, LeftError
from plugin_survey.use.equal import EqualFiles
from plugin_survey.use.finding import count_texts
from plugin_survey.use.guarding import locked
from plugin_survey.use.merging import DELETE, DONE, HARDLINK, LEFT, Merger, Step
from plugin_survey.use.near import LIKENESS, Near, NearTexts
from plugin_survey.use.quoting import quoted
from plugin_survey.use.spool import Spool
from plugin_survey.use.tally import Tally
from plugin_survey.use.undo_log import UndoLog, read_log
from plugin_survey.use.undoing import Undoing

SHOWN_GROUPS = 20
SMALLEST = 1
"""Bytes of a file that counts unless somebody says otherwise: empty ones are equal by nature, and waste nothing."""
FAILED = 1


@click.command("duplicates", short_help="Show files of equal content, and delete or link them.")
@click.argument("path", required=False, type=click.Path())
@catalogue_option
@click.option("--min-size", metavar="BYTES", type=click.IntRange(0), default=None, help="Smallest file.  [default: 1]")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=None,
    help="Groups in the table; 0 shows all. Other formats have all.  [default: 20]",
)
@click.option("--near", is_flag=True, help="Show texts that are nearly equal instead; needs a survey with --index.")
@click.option(
    "--likeness",
    metavar="PERCENT",
    type=click.IntRange(30, 100),
    default=None,
    help="How much texts must have in common with --near.  [default: 80; 30<=x<=100]",
)
@click.option("--hardlink", "action", flag_value=HARDLINK, help="Make equal files hard links of the one that is kept.")
@click.option("--delete", "action", flag_value=DELETE, help="Delete equal files but the one that is kept.")
@click.option("--keep", "rule", type=click.Choice(list(keep.RULES)), help="Which one is kept; needed with --delete.")
@click.option("--apply", is_flag=True, help="Really do it; otherwise it is only told what would be done.")
@click.option(
    "--log", metavar="FILE", type=click.Path(), help="Where the undo log goes; default: beside the catalogue."
)
@click.option("--undo", metavar="LOG", type=click.Path(), help="Bring back what --apply deleted or linked.")
@click.pass_context
def duplicates(ctx: click.Context, /, **options: Any) -> None:
    """Show files of equal content at or below PATH, as the last survey found them.

    With --hardlink or --delete it is told what would be done; only with --apply it is done, after each file was
    compared byte by byte with the one that is kept. Exits with 1 when a file had to be left alone.
    """
    context: CommandContext = ctx.obj
    _check(options)
    limit = SHOWN_GROUPS if options["limit"] is None else options["limit"]
    if options["undo"] is not None:
        failed = _undo(context, options["undo"])
    else:
        with chosen(context, options["path"], options["catalogue"]) as found:
            if options["near"]:
                count_texts(found)
                near = NearTexts(found, options["likeness"] / 100 if options["likeness"] else LIKENESS)
                _show_near(context, near.groups(), limit)
                return
            groups = EqualFiles(found, SMALLEST if options["min_size"] is None else options["min_size"])
            if options["action"] is None:
                _show(context, groups, limit)
                return
            failed = _merge(context, groups, found.reader.path, options)
    if failed:
        ctx.exit(FAILED)


def _check(options: dict[str, Any]) -> None:
    """Refuse what does not go together, rather than do less or more than somebody meant.

    Raises:
        UsageError: Something does not.
    """
    given = {name for name, value in options.items() if value is not None and value is not False}
    if "undo" in given and given != {"undo"}:
        raise click.UsageError("--undo takes nothing but the log: what to bring back is in it.")
    if "near" in given and given & {"action", "apply", "rule", "log", "min_size"}:
        raise click.UsageError("--near only shows texts: those that are nearly equal are not deleted or linked.")
    if "likeness" in given and "near" not in given:
        raise click.UsageError("--likeness says how: add --near.")
    if "limit" in given and "action" in given:
        raise click.UsageError("--limit is for what is shown: --hardlink and --delete treat all groups.")
    if options["action"] == DELETE and "rule" not in given:
        raise click.UsageError("--delete needs --keep: oldest, newest, first or shortest.")
    if "action" not in given and given & {"apply", "rule", "log"}:
        raise click.UsageError("--apply, --keep and --log say how: add --hardlink or --delete.")
    if "log" in given and "apply" not in given:
        raise click.UsageError("--log is written with --apply only: add it.")
    if "apply" in given and not given & {"path", "catalogue"}:
        raise click.UsageError("--apply needs PATH or --catalogue, so that it is not what was surveyed by chance last.")


def _show(context: CommandContext, groups: EqualFiles, limit: int) -> None:
    if context.format != "table":
        context.emit(map(_entry, groups))
        return
    context.emit(_rows(islice(groups, limit or None)), columns=("wasted", "size", "path"))
    count, wasted = len(groups), groups.wasted
    further = f" ({count - limit:,} more than shown)" if 0 < limit < count else ""
    context.message(f"{count:,} groups{further}; {wasted:,} bytes ({human(wasted)}) wasted")


def _rows(groups: Iterable[Equal]) -> Iterator[dict[str, Any]]:
    for group in groups:
        head = {"wasted": human(group.wasted), "size": human(group.size)}
        for name in (name for copy in group.copies for name in copy.names):
            yield {**head, "path": quoted(name)}
            head = {"wasted": "", "size": ""}


def _show_near(context: CommandContext, groups: list[list[Near]], limit: int) -> None:
    if context.format != "table":
        context.emit([{"files": [_near_entry(one) for one in group]} for group in groups])
        return
    shown = groups[: limit or None]
    rows = [
        {"group": number, "alike": f"{one.likeness:.0%}", "path": quoted(one.path) + _further(one.names)}
        for number, group in enumerate(shown, 1)
        for one in group
    ]
    if rows:
        context.emit(rows, columns=("group", "alike", "path"))
    further = f" ({len(groups) - len(shown):,} more than shown)" if len(shown) < len(groups) else ""
    context.message(f"{len(groups):,} groups of texts that are nearly equal{further}")


def _near_entry(one: Near) -> dict[str, Any]:
    return {**path_entry(one.path), "names": one.names, "likeness": round(one.likeness, 4)}


def _further(names: int) -> str:
    return f" (and {names - 1:,} equal)" if names > 1 else ""


def _entry(group: Equal) -> dict[str, Any]:
    files = (
        {**path_entry(copy.names[0]), "links": [path_entry(name) for name in copy.names[1:]], "mtime_ns": copy.mtime_ns}
        for copy in group.copies
    )
    return {"size": group.size, "digest": group.digest.hex(), "wasted_bytes": group.wasted, "files": files}


def _merge(context: CommandContext, groups: EqualFiles, catalogue: str, options: dict[str, Any]) -> bool:
    log = None
    if options["apply"]:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        log = UndoLog(options["log"] or f"{catalogue}.undo-{stamp}-{os.getpid()}.jsonl")
    merger = Merger(options["action"], options["rule"] or "oldest", log)
    tally = Tally()
    row = _step_row if context.format == "table" else _step_entry
    with closing(Spool()) as steps:
        try:
            with _alone(catalogue):
                for group in groups:
                    steps.extend(map(row, tally.counted(merger.steps(group))))  # one by one, also up to an interrupt
        finally:  # an interrupt, too, is followed by what was done until then
            if log is not None:
                log.close()
            if steps or sys.exception() is None:
                context.emit(iter(steps), columns=("action", "path", "note"))
                _tell(context, tally, options["action"], log)
    return tally.names[LEFT] > 0


def _step_row(step: Step) -> dict[str, Any]:
    return {"action": step.action, "path": quoted(step.path), "note": step.note}


def _step_entry(step: Step) -> dict[str, Any]:
    return {"action": step.action, **path_entry(step.path), "size": step.size, "note": step.note}


@contextmanager
def _alone(catalogue: str) -> Iterator[None]:
    """Exclude a second one that works on the same catalogue, which might keep another file.

    Raises:
        ResourceUnavailableError: There is one.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(catalogue))  # SQLite's own locks are of another sort
        except BlockingIOError as error:
            raise ResourceUnavailableError(
                "Somebody else is treating the duplicates of this survey now.",
                "Wait until that ends.",
                resource=catalogue,
            ) from error
        yield


def _tell(context: CommandContext, tally: Tally, action: str, log: UndoLog | None) -> None:
    count, size = tally.names, tally.freed
    if log is None:
        context.message(f"would {action} {count[action]:,} names ({human(size)}); nothing was touched: add --apply")
    else:
        context.message(f"{DONE[action]} {count[DONE[action]]:,} names ({human(size)})")
        if log.written:
            context.message(f"undo log: {log.path}")
    if count[LEFT]:
        context.message(f"{count[LEFT]:,} names were left alone; the notes say why")


def _undo(context: CommandContext, log: str) -> bool:
    undoing = Undoing()
    tally: Counter[str] = Counter()
    entry = _quoted_entry if context.format == "table" else path_entry
    with closing(Spool()) as rows:
        try:
            for deed in read_log(log):
                action, note = _undone(undoing, deed)
                tally[action] += 1
                rows.append({"action": action, **entry(deed["path"]), "note": note})
        finally:  # an interrupt, too, is followed by what was done until then
            if rows or sys.exception() is None:
                context.emit(iter(rows))
    return tally[LEFT] > 0


def _undone(undoing: Undoing, deed: dict[str, Any]) -> tuple[str, str]:
    try:
        action, note = undoing.undo(deed)
    except LeftError as error:
        action, note = LEFT, str(error)
    except OSError as error:
        action, note = LEFT, f"the system refuses: {os.strerror(error.errno or 0)}"
    return action, note


def _quoted_entry(path: bytes) -> dict[str, Any]:
    return {"path": quoted(path)}
