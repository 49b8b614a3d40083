"""The commands `framework metrics show` and `framework metrics watch`."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import math
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from framework import CommandContext
from framework.errors import InvalidRequestError, did_you_mean
from plugin_system.names import NAMES

FIRST_INTERVAL = 0.25
"""Seconds between the two collections of the first look, which rates are taken from."""

Rows = list[dict[str, Any]]


def _a_number(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which no range keeps out
        raise click.BadParameter("nan is not a number of seconds.")
    return value


_choosing = click.argument("names", metavar="[NAME]...", nargs=-1)


@click.group("metrics")
def metrics() -> None:
    """Show what the system, this process and the plugins use and count."""


@metrics.command("show")
@_choosing
@click.pass_obj
def show(context: CommandContext, names: tuple[str, ...]) -> None:
    """Show every metric of all enabled plugins once, and the alerts.

    NAME... chooses some, and may have wildcards, as in 'system_*'. Figures of the process are those of this command.
    """
    asyncio.run(_look(context, names, interval=FIRST_INTERVAL, count=1, watching=False))


@metrics.command("watch")
@_choosing
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
@click.pass_obj
def watch(context: CommandContext, names: tuple[str, ...], interval: float, count: int | None) -> None:
    """Show metrics again and again, until interrupted.

    A terminal shows the latest look. Elsewhere each metric is a line of its own, with the time of the look.
    """
    asyncio.run(_look(context, names, interval=interval, count=count, watching=True))


async def _look(
    context: CommandContext, names: tuple[str, ...], *, interval: float, count: int | None, watching: bool
) -> None:
    async with context.open() as host:
        await host.measurements()
        await asyncio.sleep(min(interval, FIRST_INTERVAL))
        service = await host.service("metrics")
        for look in itertools.count(1):
            found = _chosen(_rows(await host.measurements()), names)
            alerts = [] if names else service.alerts()
            _show(context, found, alerts, watching=watching)
            if not names and not watching:
                for what, source in service.system.sources().items():
                    context.message(f"{what}: limited by {source}")
            if look == count:
                return
            await asyncio.sleep(interval)


def _rows(measurements: Mapping[str, Mapping[str, float]]) -> Rows:
    return [
        {"metric": name, "value": value, "unit": NAMES[name].unit if name in NAMES else "", "collector": collector}
        for collector, measured in measurements.items()
        for name, value in measured.items()
    ]


def _chosen(rows: Rows, names: tuple[str, ...]) -> Rows:
    known = [row["metric"] for row in rows]
    for name in names:
        if not fnmatch.filter(known, name):
            raise InvalidRequestError(
                f"No metric is called {name!r}; {len(known)} are known.",
                did_you_mean(name, known) or "`framework metrics show` shows all.",
                resource=name,
            )
    return [row for row in rows if not names or any(fnmatch.fnmatchcase(row["metric"], name) for name in names)]


def _show(context: CommandContext, rows: Rows, alerts: Rows, *, watching: bool) -> None:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    if context.format == "ndjson":
        context.emit([{"at": now, **row} for row in [*rows, *alerts]])
    elif context.format != "table":
        if watching and context.format == "yaml":
            click.echo("---")
        context.emit({"at": now, "metrics": rows, "alerts": alerts})
    elif watching and not sys.stdout.isatty():
        for row in rows:
            click.echo(f"{now} {row['metric']} {_spelled(row['value'])} {row['unit']}".rstrip())
        for row in alerts:
            click.echo(f"{now} alert {row['alert']} {row['state']} {row['message']}".rstrip())
    else:
        click.clear()  # does nothing unless it is a terminal
        _tables(context, rows, alerts)


def _tables(context: CommandContext, rows: Rows, alerts: Rows) -> None:
    context.emit([{**row, "value": _spelled(row["value"])} for row in rows], columns=("metric", "value", "unit"))
    if alerts:
        context.emit([])
        context.emit(alerts, columns=("alert", "state", "metric", "value", "threshold", "message"))


def _spelled(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.0f}" if value == int(value) else f"{value:.6g}" if abs(value) < 1 else f"{value:.2f}"
