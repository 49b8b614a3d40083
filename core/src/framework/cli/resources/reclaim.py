"""`framework resources reclaim`: gives back what processes left when they died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from framework.cli.context import Context
from framework.frozen import as_dict
from framework.recovery import held, reclaim

if TYPE_CHECKING:
    from framework.records import Reclamation

COLUMNS = ("outcome", "process", "program", "kind", "name", "owner", "size", "reason")
LEFT = {"skipped", "failed", "quarantined"}
LEFT_FOR_NOW = 3
"""Exit code where something could not be given back."""


@click.command("reclaim")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.pass_context
def command(ctx: click.Context, *, dry_run: bool) -> None:
    """Give back what processes of this user left when they died, and say what became of each lease.

    What failed too often before is tried again. Exits with 3 when something is left. A process that is alive, though it
    may be stopped, keeps what it holds; several reclaimers at once are no trouble.
    """
    context: Context = ctx.obj
    context.log()
    dead = [one for one in held() if one.state == "dead"]  # refuses where the journals are not this user's alone
    if not dry_run and any("provider" in one.verbs for one in dead):
        outcomes = _with_plugins(context)
    else:
        outcomes = reclaim(dry_run=dry_run, retry=True)
    context.emit([_row(one) for one in outcomes], columns=COLUMNS)
    if any(one.outcome in LEFT for one in outcomes):
        ctx.exit(LEFT_FOR_NOW)


def _with_plugins(context: Context) -> list[Reclamation]:
    """Reclaim with the help of the plugins, some of whose kinds only they can give back."""
    import asyncio  # which most calls need not pay for

    async def run() -> list[Reclamation]:
        async with context.open("leases.reclaim=false") as host:  # or opening it would, and say nothing here
            return await host.reclaim(retry=True)

    return asyncio.run(run())


def _row(one: Reclamation) -> dict[str, object]:
    fields = as_dict(one)
    return {"outcome": fields.pop("outcome"), "process": fields.pop("pid"), **fields}
