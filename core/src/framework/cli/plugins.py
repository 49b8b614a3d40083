"""`framework plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict

import click

from framework.cli.context import Context
from framework.cli.groups import NounGroup
from framework.errors import PluginNotFoundError, did_you_mean
from framework.records import PluginRecord, PluginState

COLUMNS = ("name", "version", "type", "state", "provides", "requires", "distribution", "reason")
BROKEN = {PluginState.FAILED, PluginState.BLOCKED}
PLUGIN_FAULT = 6


@click.group(cls=NounGroup, name="plugins", help="List and show what is installed.")
def command() -> None:
    """Hold the commands below."""


@command.command("list")
@click.option("--start", is_flag=True, help="Start the enabled plugins and show the state that each really reaches.")
@click.pass_context
def list_(ctx: click.Context, *, start: bool) -> None:
    """List every plugin with its state and, for anything broken, the reason.

    Without --start nothing is imported: an enabled plugin is then shown as discovered. Exits with 6 when an enabled
    plugin is broken.
    """
    context: Context = ctx.obj
    records = _started(context) if start else tuple(context.inventory.records.values())
    records = tuple(sorted(records, key=lambda one: one.name))
    context.emit([_shown(one) for one in records], columns=COLUMNS)
    if any(one.state in BROKEN for one in records):
        ctx.exit(PLUGIN_FAULT)


@command.command("show")
@click.argument("name")
@click.pass_obj
def show(context: Context, name: str) -> None:
    """Show everything that is known of one plugin, without importing it."""
    inventory = context.inventory
    if name not in inventory.records:
        known = ", ".join(sorted(inventory.records)) or "none"
        raise PluginNotFoundError(
            f"No plugin is called {name!r}; known are {known}.", did_you_mean(name, inventory.records), plugin=name
        )
    row = _shown(inventory.records[name])
    manifest = inventory.manifests.get(name)
    if manifest is not None:
        details = asdict(manifest)
        row |= {key: details[key] for key in ("author", "entry_point", "api", "after", "settings", "permissions")}
        row["manifest"] = manifest.path
        row["provides"] = {key: list(values) for key, values in manifest.provides.items()}
    context.emit(row)


def _started(context: Context) -> tuple[PluginRecord, ...]:
    import asyncio  # 45 ms, which the plain list need not pay

    async def start() -> tuple[PluginRecord, ...]:
        async with context.open() as host:
            return host.plugins.records()

    return asyncio.run(start())


def _shown(record: PluginRecord) -> dict[str, object]:
    return {**asdict(record), "state": record.state.value}
