"""`framework plugins refresh`: read what is installed anew, and say what the index did not know."""

from __future__ import annotations

import click

from framework.cli.context import Context


@click.command("refresh")
@click.pass_obj
def command(context: Context) -> None:
    """Read everything that is installed anew, write the index of it, and list what is different.

    Discovery compares with the disk whatever it is asked for, so this is needed only after changes that leave no trace
    in the time stamps of files, as on some network file systems.
    """
    from framework.discovery import refresh

    outcome = refresh()
    context.emit([{"name": name, "change": change} for name, change in outcome.changes.items()])
    for fault in outcome.found.faults:
        if not fault.distribution:  # of the index itself; those of plugins are rows of the list
            context.message(fault.reason)
    if outcome.file:
        context.message(f"The index {outcome.file} knows {len(outcome.found.manifests)} plugins.")
    else:
        context.message("No index was written: the import path has an archive, or its folder cannot be written to.")
