"""`framework plugins unquarantine`: lets a plugin start again that was kept out."""

from __future__ import annotations

import click

from framework.cli.context import Context
from framework.errors import PluginNotFoundError, did_you_mean
from framework.quarantine import Quarantine


@click.command("unquarantine")
@click.argument("name")
@click.pass_obj
def command(context: Context, name: str) -> None:
    """Let the plugin NAME start again; it need not be installed any more."""
    quarantine = Quarantine()
    quarantine.sweep()
    if not quarantine.lift(name):
        kept = quarantine.records()
        raise PluginNotFoundError(
            f"Plugin {name!r} is not in quarantine; there are {', '.join(kept) or 'none'}.",
            did_you_mean(name, kept),
            plugin=name,
        )
    context.message(f"Plugin {name!r} left the quarantine.")
