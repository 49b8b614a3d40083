"""`framework resources show`: everything that is known of one lease."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from framework.cli.context import Context
from framework.cli.resources._selection import Selection, identity, row, selecting, spelled
from framework.errors import InvalidRequestError, ResourceUnavailableError, did_you_mean
from framework.records import JournalRecord


@click.command("show")
@click.argument("name")
@selecting
@click.pass_obj
def command(context: Context, /, *, name: str, **choice: Any) -> None:
    """Show everything that is known of one lease.

    NAME is the name of what is held, or the process and the number of the lease, as 4711:3. Where several processes
    hold something of that name, the options choose.
    """
    one = _only(name, Selection(**choice).read())
    shown = row(one)
    targets = [f"{verb} {path}" for verb, path in zip(one.verbs, one.paths, strict=True)]
    shown["acquired_at"] = datetime.fromtimestamp(one.acquired_at, UTC).isoformat(timespec="seconds")
    shown["targets"] = targets
    del shown["verbs"]
    if context.format == "table":
        shown["age"] = spelled(shown["age"])
    context.emit(shown)


def _only(name: str, leases: list[JournalRecord]) -> JournalRecord:
    found = [one for one in leases if one.lease and name in {one.name, identity(one)}]
    if not found:
        raise ResourceUnavailableError(
            f"No lease among the {len(leases)} that were looked at is called {name!r}.",
            did_you_mean(name, [one.name for one in leases]) or "`framework resources list` shows all.",
            resource=name,
        )
    if len(found) > 1:
        listed = "; ".join(f"{identity(one)} ({one.state} {one.program}, {one.kind}, {one.owner})" for one in found)
        raise InvalidRequestError(
            f"{len(found)} leases are called {name!r}: {listed}.",
            "Say which by its process and number, or with --pid, --kind, --state or --owner.",
            resource=name,
        )
    return found[0]
