"""`framework plugins enable`: switches a plugin on in the configuration file."""

from __future__ import annotations

import click

from framework.cli.context import Context
from framework.cli.plugins import switch


@click.command("enable")
@click.argument("name")
@click.pass_obj
def command(context: Context, name: str) -> None:
    """Enable the plugin NAME in the configuration file.

    The file is the one that --config names, or that is found; without any, framework.yaml is made here. Comments and
    all other lines stay as they are. Running programs are not told.
    """
    switch(context, name, enabled=True)
