"""The command `framework survey diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click

from framework import CommandContext
from framework.errors import InvalidRequestError
from plugin_survey.reporting.report import path_entry
from plugin_survey.shown import human
from plugin_survey.use.choice import find
from plugin_survey.use.comparison import ADDED, CHANGED, DAMAGED, MOVED, REMOVED, Difference, differences
from plugin_survey.use.quoting import quoted
from plugin_survey.use.reader import reading

DIFFERENT = 1


@click.command("diff", short_help="Compare two catalogues.")
@click.argument("before", metavar="A", type=click.Path())
@click.argument("after", metavar="B", type=click.Path())
@click.pass_context
def diff(ctx: click.Context, *, before: str, after: str) -> None:
    """Tell what was added, removed, changed or moved from A to B, and what is damaged only in B.

    Each is a catalogue, or a folder, of which the catalogue of its last survey is taken. A catalogue holds one state,
    so keep a copy of it to compare with later. Exits with 1 when there are differences.
    """
    context: CommandContext = ctx.obj
    paths = find(context, before), find(context, after)
    if paths[0] == paths[1]:
        raise InvalidRequestError(
            f"{before!r} and {after!r} have the same catalogue, {paths[0]!r}.",
            "Compare with a copy of it that was made before the last survey.",
        )
    counts: Counter[str] = Counter()
    with reading(paths[0]) as one, reading(paths[1]) as other:
        found = _counted(differences(one, other), counts)
        context.emit(
            map(_row if context.format == "table" else _entry, found), columns=("what", "path", "size", "note")
        )
    context.message(_summary(counts))
    if counts:
        ctx.exit(DIFFERENT)


def _counted(found: Iterator[Difference], counts: Counter[str]) -> Iterator[Difference]:
    for one in found:
        counts[one.what] += 1
        yield one


def _row(one: Difference) -> dict[str, Any]:
    target = f" -> {quoted(one.target)}" if one.target is not None else ""
    return {"what": one.what, "path": quoted(one.path) + target, "size": human(one.size), "note": one.note}


def _entry(one: Difference) -> dict[str, Any]:
    target = {"target": path_entry(one.target)} if one.target is not None else {}
    return {"what": one.what, **path_entry(one.path), **target, "size": one.size, "note": one.note}


def _summary(counts: Mapping[str, int]) -> str:
    parts = [f"{counts[what]:,} {what}" for what in (ADDED, REMOVED, CHANGED, MOVED, DAMAGED) if counts.get(what)]
    return ", ".join(parts) or "no difference"
