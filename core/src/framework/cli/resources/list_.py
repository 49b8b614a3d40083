"""`framework resources list`: who holds what on this machine, as the journals of all processes tell."""

from __future__ import annotations

from typing import Any

import click

from framework.cli.context import Context
from framework.cli.resources._selection import Selection, row, selecting, table


@click.command("list")
@selecting
@click.pass_obj
def command(context: Context, /, **choice: Any) -> None:
    """List what processes of this user hold, and what those that died have left.

    Read from their journals; nothing is started and nothing is changed. What the system takes back by itself, such as a
    socket or a file without a name, is in no journal.
    """
    leases = Selection(**choice).read()
    if context.format == "table":
        rows, columns = table(leases)
        context.emit(rows, columns=columns)
    else:
        context.emit([row(one) for one in leases])
