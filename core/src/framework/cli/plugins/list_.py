"""`framework plugins list`: every plugin, its state, and what is wrong with it."""

from __future__ import annotations

import click

from framework.cli.context import Context
from framework.cli.plugins import BROKEN, PLUGIN_FAULT, shown
from framework.records import PluginRecord

COLUMNS = ("name", "version", "type", "state", "provides", "requires", "distribution", "reason")


@click.command("list")
@click.option("--start", is_flag=True, help="Start the enabled plugins and show the state that each really reaches.")
@click.pass_context
def command(ctx: click.Context, *, start: bool) -> None:
    """List every plugin with its state and, for anything broken, the reason.

    Without --start nothing is imported: an enabled plugin is then shown as discovered. Exits with 6 when an enabled
    plugin is broken.
    """
    context: Context = ctx.obj
    records = _started(context) if start else tuple(context.inventory.records.values())
    records = tuple(sorted(records, key=lambda one: one.name))
    columns = (*COLUMNS, "warnings") if any(one.warnings for one in records) else COLUMNS
    context.emit([shown(one) for one in records], columns=columns)
    enabled = context.settings.enabled(context.found.first_party())
    if any(one.state in BROKEN and one.name in enabled for one in records):
        ctx.exit(PLUGIN_FAULT)


def _started(context: Context) -> tuple[PluginRecord, ...]:
    import asyncio  # 45 ms, which the plain list need not pay

    async def start() -> tuple[PluginRecord, ...]:
        async with context.open() as host:
            await host.plugins.activate_all()
            return host.plugins.records()

    return asyncio.run(start())
