"""The command `framework survey verify`."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import click

from framework import CommandContext
from plugin_survey.reporting.report import path_entry
from plugin_survey.shown import human
from plugin_survey.sizes import Size
from plugin_survey.use.choice import BELOW, catalogue_option, chosen
from plugin_survey.use.pace import Pace
from plugin_survey.use.quoting import quoted
from plugin_survey.use.spool import Spool
from plugin_survey.use.verification import CHANGED, FAULTS, SOUND, Verdict, Verification

FAILED = 1
INTERVAL = 5.0
"""Seconds between two messages about how far it is."""


@click.command("verify", short_help="Read files again, and tell which are not what was surveyed.")
@click.argument("path", required=False, type=click.Path())
@catalogue_option
@click.option("--rate", metavar="SIZE", type=Size(), help="Most that is read in a second, such as 20MiB.")
@click.option("--changed", is_flag=True, help="Also name the files that were simply written to since.")
@click.option("--quiet", is_flag=True, help="Do not tell how far it is.")
@click.pass_context
def verify(
    ctx: click.Context, *, path: str | None, catalogue: str | None, rate: int | None, changed: bool, quiet: bool
) -> None:
    """Read the files at or below PATH again, and compare them in full with the fingerprints of the last survey.

    A file is rotten when its content differs though size and time of modification are the same. Exits with 1 when a
    file is rotten, missing, replaced, unreadable or, as the survey found with --check, damaged.
    """
    context: CommandContext = ctx.obj
    with chosen(context, path, catalogue) as found:
        total = found.reader.value(f"SELECT COUNT(*) FROM file WHERE {BELOW}", found.limits)  # noqa: S608 - a constant
        due = time.monotonic() + INTERVAL

        def tick() -> None:
            nonlocal due
            if not quiet and time.monotonic() >= due:
                due = time.monotonic() + INTERVAL
                done = verification.counts.total()
                context.message(f"verified {done:,} of {total:,} names, {human(verification.bytes)} read")

        verification = Verification(found, Pace(rate), tick)
        with closing(Spool()) as rows:
            try:
                # one by one, also up to an interrupt, which is followed by what was found until then
                rows.extend(_row(context, one) for one in verification.verdicts() if changed or one.what != CHANGED)
            finally:
                _tell(context, rows, verification)
    if any(verification.counts[what] for what in FAULTS):
        ctx.exit(FAILED)


def _row(context: CommandContext, one: Verdict) -> dict[str, Any]:
    path = {"path": quoted(one.path)} if context.format == "table" else path_entry(one.path)
    return {"verdict": one.what, **path, "note": one.note}


def _tell(context: CommandContext, rows: Spool, verification: Verification) -> None:
    context.emit(iter(rows), columns=("verdict", "path", "note"))
    counts = verification.counts
    known = {SOUND: f"{counts[SOUND]:,} sound", **{what: f"{counts[what]:,} {what}" for what in (CHANGED, *FAULTS)}}
    said = ", ".join(text for what, text in known.items() if counts[what] or what == SOUND)
    context.message(f"{counts.total():,} names verified by SHA-256 of the whole content: {said}")
