"""`framework doctor`: what this machine offers, and what follows where something is missing."""

from __future__ import annotations

import click

from framework.cli.context import Context
from framework.cli.groups import with_output

COLUMNS = ("name", "value", "ok", "note")


@click.command("doctor")
@click.pass_obj
def _doctor(context: Context) -> None:
    """Show what this machine offers, and what the framework does where something is missing.

    `framework plugins doctor` examines plugins.
    """
    from framework.doctor import facts

    context.emit(facts(), columns=COLUMNS)


command = with_output(_doctor)
