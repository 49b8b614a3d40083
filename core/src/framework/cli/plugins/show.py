"""`framework plugins show`: everything that is known of one plugin."""

from __future__ import annotations

from dataclasses import asdict

import click

from framework.cli.context import Context
from framework.cli.plugins import known, shown

SHOWN = (
    *("author", "entry_point", "api", "optional", "after", "before", "conflicts", "activation", "stability"),
    *("settings", "permissions"),
)


@click.command("show")
@click.argument("name")
@click.pass_obj
def command(context: Context, name: str) -> None:
    """Show everything that is known of one plugin, without importing it."""
    row = shown(known(context, name))
    manifest = context.inventory.manifests.get(name)
    if manifest is not None:
        details = asdict(manifest)
        row |= {key: details[key] for key in SHOWN}
        row["manifest"] = manifest.path
        row["provides"] = {key: list(values) for key, values in manifest.provides.items()}
    context.emit(row)
