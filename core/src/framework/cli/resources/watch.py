"""`framework resources watch`: the list, again and again."""

from __future__ import annotations

import itertools
import math
import time
from datetime import datetime
from typing import Any

import click

from framework.cli import output
from framework.cli.context import Context
from framework.cli.resources._selection import Selection, row, selecting, table


def _a_number(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which no range keeps out
        raise click.BadParameter("nan is not a number of seconds.")
    return value


@click.command("watch")
@click.option(
    "--interval",
    callback=_a_number,
    type=click.FloatRange(min=0, max=86400, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="NUMBER", help="End after so many looks.")
@selecting
@click.pass_obj
def command(context: Context, /, *, interval: float, count: int | None, **choice: Any) -> None:
    """List what is held again and again, until interrupted.

    A terminal shows the latest look. Elsewhere each look follows the former one: with -o ndjson one line for each
    lease, with the time of the look in its field `at`.
    """
    selection = Selection(**choice)
    for look in itertools.count(1):
        _show(context, selection)
        if look == count:
            return
        time.sleep(interval)


def _show(context: Context, selection: Selection) -> None:
    leases, now = selection.read(), datetime.now().astimezone().isoformat(timespec="seconds")
    if context.format == output.NDJSON:
        context.emit([{"at": now, **row(one)} for one in leases])
    elif context.format == output.TABLE:
        rows, columns = table(leases)
        text = f"{now}  leases: {len(leases)}\n{output.render(rows, output.TABLE, columns)}"
        click.clear()  # does nothing unless it is a terminal
        click.echo(text)
    else:
        separator = "---\n" if context.format == output.YAML else ""
        data = {"at": now, "leases": [row(one) for one in leases]}
        click.echo(separator + output.render(data, context.format))
