"""The command `framework pressure`: how memory is here and now, and what would be done about it."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from framework import CommandContext
from plugin_pressure.records import Decision, State
from plugin_pressure.service import Pressure


@click.group("pressure")
def pressure() -> None:
    """See how short memory is here, and what would be done about it.

    These commands look at this machine and control group, with this configuration. What a running program has decided
    is in its own log, metrics, and service `pressure`.
    """


@pressure.command("show")
@click.pass_obj
def show(context: CommandContext) -> None:
    """Show the level, what is used of which limit, and the thresholds."""
    context.emit(asyncio.run(_state(context)))


@pressure.command("decide")
@click.pass_obj
def decide(context: CommandContext) -> None:
    """Show what a cleanup round would do now, without doing it."""
    context.emit(asyncio.run(_decision(context)))


async def _state(context: CommandContext) -> State:
    async with context.open() as host:
        return (await _service(host)).state()


async def _decision(context: CommandContext) -> Decision:
    async with context.open() as host:
        await host.plugins.activate_all()  # whose participants would be asked
        return (await _service(host)).round(dry_run=True)


async def _service(host: Any) -> Pressure:
    found = await host.service("pressure")
    assert isinstance(found, Pressure)  # noqa: S101 - for type checkers; the name is this plugin's
    return found
