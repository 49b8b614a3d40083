"""`framework plugins quarantine`: who is kept out because it ended the interpreter; or keeps one out by hand."""

from __future__ import annotations

import time

import click

from framework.cli.context import Context
from framework.cli.plugins import known
from framework.errors import InvalidRequestError
from framework.quarantine import Quarantine, Quarantined

COLUMNS = ("name", "version", "since", "reason")
BY_HAND = "It was put into quarantine by hand."


@click.command("quarantine")
@click.argument("name", required=False)
@click.option("--reason", metavar="TEXT", help="Why the plugin is kept out.")
@click.pass_obj
def command(context: Context, name: str | None, reason: str | None) -> None:
    """List the plugins in quarantine, or put the plugin NAME there.

    A plugin in quarantine is not imported, whatever the configuration says. It gets there by itself when the
    interpreter ended while the plugin was being started, and it leaves when it is upgraded, or by `plugins
    unquarantine`.
    """
    quarantine = Quarantine()
    if name is None:
        if reason is not None:
            raise InvalidRequestError("--reason was given without a plugin.", "Name the plugin to keep out.")
        quarantine.sweep({one.name: one.version for one in context.found.manifests.values()})
        records = list(quarantine.records().values())
    else:
        records = [quarantine.add(name, known(context, name).version, reason or BY_HAND)]
    context.emit([_shown(one) for one in records], columns=COLUMNS)


def _shown(one: Quarantined) -> dict[str, object]:
    """Return a row with its time as ISO 8601 in UTC."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.since))
    return {"name": one.name, "version": one.version, "since": since, "reason": one.reason}
