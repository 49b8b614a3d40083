"""The command `framework pool simulate`."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import click

from framework import AllocationStrategy, CommandContext, ResourceStatus
from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool.cli import new_file
from plugin_pool.cli.opening import look, settings_of, state_option
from plugin_pool.cli.why import EXIT
from plugin_pool.pool import ResourcePool
from plugin_pool.records import Tier
from plugin_pool.settings import PoolSettings
from plugin_pool.simulation import Outcome, Workload, description, document
from plugin_pool.simulation import simulate as play
from plugin_pool.simulation.example import EXAMPLE
from plugin_pool.simulation.outcome import LATE
from plugin_pool.simulation.picture import picture
from plugin_pool.simulation.simulator import MOST_TASKS
from plugin_pool.strategies import BUILT_IN

TASKS = 20_000
"""How many tasks come where nobody says how many, or for how long."""

SECONDS = click.FloatRange(min=0, max=1e9)


def _a_number(_ctx: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # which no range keeps out
        raise click.BadParameter("nan is not a number of seconds.")
    return value


@click.command("simulate")
@click.option("--workload", "file", metavar="FILE", help="The workload, in YAML or JSON; without it, the example.")
@click.option("--example", "shown", is_flag=True, help="Print the example of a workload, and end.")
@click.option(
    "--strategy", "names", metavar="NAME", multiple=True, help="A strategy to play, not all; may be repeated."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another number gives another course of events.")
@click.option(
    "--time",
    "seconds",
    callback=_a_number,
    type=click.FloatRange(min=0, max=1e9, min_open=True),
    metavar="SECONDS",
    help="End after so many simulated seconds.",
)
@click.option(
    "--tasks",
    type=click.IntRange(min=1, max=MOST_TASKS),
    metavar="NUMBER",
    help=f"End when so many tasks have come; {TASKS:,} unless a time is given.",
)
@click.option(
    "--patience", callback=_a_number, type=SECONDS, metavar="SECONDS", help="Instead of that of the configuration."
)
@click.option(
    "--aging", callback=_a_number, type=SECONDS, metavar="SECONDS", help="Instead of that of the configuration."
)
@click.option(
    "--late",
    callback=_a_number,
    type=SECONDS,
    metavar="SECONDS",
    help=f"Tasks that waited longer are late; default: {LATE:g} times the mean duration of their stream.",
)
@state_option
@click.option("--svg", metavar="FILE", help="Draw the waits into this file.")
@click.option("--force", is_flag=True, help="Overwrite the file of the picture.")
@click.pass_context
def simulate(
    ctx: click.Context,
    /,
    *,
    file: str | None,
    shown: bool,
    names: tuple[str, ...],
    late: float | None,
    state: str | None,
    svg: str | None,
    force: bool,
    **course: Any,
) -> None:
    """Play a workload against strategies, and show how long tasks wait and how much is in use.

    A real pool in simulated time gets the very same tasks with each strategy: those that the file describes. Waits are
    in seconds, up to the end for tasks that were not started; `starvation` is the longest in mean durations of a task,
    `late` counts those that waited too long, `utilisation` is the part of the entities in use, `throughput` is tasks a
    second. The same seed gives the same figures.
    """
    context: CommandContext = ctx.obj
    if shown:
        _print_example(context)
        return
    if svg is not None:
        new_file.check(svg, force=force)
    strategies, settings = asyncio.run(_host(context, names))
    chosen = _chosen(strategies, names)
    workload = _workload(context, file, state)
    hopeless = _tell_refused(context, workload)
    outcomes = [play(workload, **_options(one, name, settings, course)) for name, one in chosen.items()]
    _show(context, outcomes, late)
    if svg is not None:
        new_file.write(svg, picture(outcomes, _summary(outcomes[0])), force=force)
    if hopeless:
        ctx.exit(EXIT[Tier.IMPOSSIBLE])


def _print_example(context: CommandContext) -> None:
    if context.format in ("table", "yaml"):
        click.echo(EXAMPLE, nl=False)
    else:
        context.emit(document.parse(EXAMPLE, "The example"))


async def _host(context: CommandContext, names: Iterable[str]) -> tuple[Mapping[str, AllocationStrategy], PoolSettings]:
    """Return all strategies that there are, and the settings of this plugin."""
    async with context.open() as host:
        for name in names:
            if (waiting := host.plugins.waiting_provider("strategies", name)) is not None:
                await host.activate(waiting)
        return {**BUILT_IN, **host.strategies()}, settings_of(host)


def _workload(context: CommandContext, file: str | None, state: str | None) -> Workload:
    """Return the workload of a file, or the example; entities that it does not list are those of the pool."""
    content = document.read(file) if file is not None else document.parse(EXAMPLE, "The example")
    if not isinstance(content, Mapping):
        return description.workload(content)  # which refuses it
    if "resources" in content:
        if state is not None:
            subject = f"The workload {file!r}" if file is not None else "The example"
            raise InvalidRequestError(f"{subject} lists resources, and --state names others.", "Leave one of them out.")
        return description.workload(content)
    every = look(context, state, lambda pool: pool.get_resources())
    in_service = [one for one in every if not one.draining and one.status is not ResourceStatus.ERROR]
    return description.workload(content, in_service)


def _chosen(known: Mapping[str, AllocationStrategy], names: tuple[str, ...]) -> dict[str, AllocationStrategy]:
    for name in names:
        if name not in known:
            raise InvalidRequestError(
                f"No active plugin registers the strategy {name!r:.80}; there are {', '.join(known)}.",
                did_you_mean(name, known) or "Enable the plugin that registers it.",
            )
    return {name: known[name] for name in names or known}


def _options(
    strategy: AllocationStrategy, name: str, settings: PoolSettings, course: Mapping[str, Any]
) -> dict[str, Any]:
    seconds, tasks = course["seconds"], course["tasks"]
    return {
        "strategy": strategy,
        "name": name,
        "seed": course["seed"],
        "patience": settings.patience if course["patience"] is None else course["patience"],
        "aging": settings.aging if course["aging"] is None else course["aging"],
        "seconds": math.inf if seconds is None else seconds,
        "tasks": tasks or (TASKS if seconds is None else MOST_TASKS + 1),
    }


def _tell_refused(context: CommandContext, workload: Workload) -> bool:
    """Say which tasks will be refused, because nothing that the pool has would do; True where that is all of them."""
    pool = ResourcePool()
    for one in workload.entities:
        pool.add_resource(one)
    refused = 0
    for stream in workload.streams:
        found = pool.explain(stream.requirements)
        if found.tier is Tier.IMPOSSIBLE:
            context.message(f"All tasks of the stream {stream.name!r} are refused. {found.sentence}")
            refused += 1
    return refused == len(workload.streams)


def _show(context: CommandContext, outcomes: list[Outcome], late: float | None) -> None:
    rows = [row for one in outcomes for row in one.rows(late)]
    if context.format == "table":
        rows = [{name: _spelled(value) for name, value in row.items()} for row in rows]
    context.emit(rows)
    context.message(_summary(outcomes[0]))
    if len(outcomes) > 1:
        context.message(_verdict(outcomes))


def _summary(outcome: Outcome) -> str:
    return f"{outcome.total.arrived:,} tasks came to {outcome.capacity:,} places in {outcome.seconds:,.6g} s."


def _verdict(outcomes: list[Outcome]) -> str:
    found = sorted([(one.rows()[0]["p99"] or 0.0, one.strategy) for one in outcomes])
    told = [
        f"{', '.join([name for _, name in each])} {_spelled(wait)} s"
        for wait, each in itertools.groupby(found, key=lambda one: one[0])
    ]
    return f"99 of 100 tasks waited no longer than: {'; '.join(told)}."


def _spelled(value: object) -> object:
    if not isinstance(value, float):
        return value
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
