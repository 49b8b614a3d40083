"""`framework resources kinds`: what can be acquired."""

from __future__ import annotations

import asyncio

import click

from framework.cli.context import Context
from framework.cli.plugins import BROKEN
from framework.records import KindRecord, Parameter


@click.command("kinds")
@click.pass_obj
def command(context: Context) -> None:
    """List every kind of resource that the enabled plugins provide, with its parameters."""
    found = asyncio.run(_kinds(context))
    if context.format == "table":
        rows = [
            {
                "kind": one.kind,
                "plugin": one.plugin,
                "parameters": " ".join(map(_spelled, one.parameters)),
                "description": one.description,
            }
            for one in found
        ]
        context.emit(rows)
    else:
        context.emit(list(found))


async def _kinds(context: Context) -> tuple[KindRecord, ...]:
    async with context.open() as host:
        await host.plugins.activate_all()
        for record in host.plugins.records():
            if record.state in BROKEN:
                context.message(f"framework: plugin {record.name!r} is {record.state.value}: {record.reason}")
        return host.kinds()


def _spelled(parameter: Parameter) -> str:
    return parameter.name if parameter.required else f"[{parameter.name}]"
