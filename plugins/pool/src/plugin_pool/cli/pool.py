"""The commands `framework pool …`."""

from __future__ import annotations

import click

from framework import CommandContext, ResourceStatus
from framework.errors import did_you_mean
from plugin_pool import words
from plugin_pool.cli.entities import add, drain, remove, repair
from plugin_pool.cli.opening import look, state_option
from plugin_pool.cli.rows import row
from plugin_pool.cli.simulate import simulate
from plugin_pool.cli.why import EXIT, why
from plugin_pool.need import level, needed
from plugin_pool.records import ResourceInstance

COLUMNS = ("id", "type", "status", "capabilities", "labels", "capacity", "tasks")


@click.group("pool")
def pool() -> None:
    """See what the pool has, what it can do, and how it would do under load.

    The pool is the one that the configuration describes, or with --state one that a program keeps in a directory. What
    a running program has is shown by the command why.
    """


pool.add_command(why, "explain")
for one in (add, drain, remove, repair, simulate):
    pool.add_command(one)


@pool.command("status")
@state_option
@click.pass_obj
def status(context: CommandContext, /, *, state: str | None) -> None:
    """Show how many entities there are, and with each status."""
    context.emit(look(context, state, lambda pool: pool.get_status_report()))


@pool.command("list")
@click.option("--type", "kind", metavar="TYPE", help="Only entities of this type.")
@click.option(
    "--status",
    type=click.Choice([one.value for one in ResourceStatus]),
    help="Only entities with this status.",
)
@click.option(
    "--capability",
    "capabilities",
    metavar="NAME=LEVEL",
    multiple=True,
    help="Only entities that can do this, at this level or better; may be given several times.",
)
@state_option
@click.pass_obj
def list_(
    context: CommandContext,
    /,
    *,
    kind: str | None,
    status: str | None,
    capabilities: tuple[str, ...],
    state: str | None,
) -> None:
    """Show the entities of the pool."""
    levels = [level(one, one) for one in capabilities]
    every = look(context, state, lambda pool: pool.get_resources())
    found = [one for one in every if _matches(one, kind, status, levels)]
    context.emit([row(one) for one in found], columns=COLUMNS)
    if not every:
        context.message("The pool has no entities.")
    elif not found:
        known = {one.type for one in every} | {able.type for one in every for able in one.capabilities}
        asked = [one for one in (kind, *dict(levels)) if one and one not in known]
        hints = [hint for one in asked if (hint := did_you_mean(one, known))]
        context.message(" ".join([f"None of {len(every):,} entities is like that.", *hints]))


def _matches(one: ResourceInstance, kind: str | None, status: str | None, levels: list[tuple[str, int]]) -> bool:
    able = {each.type: each.level for each in one.capabilities}
    return (
        kind in (None, one.type)
        and status in (None, one.status.value)
        and all(able.get(name, 0) >= least for name, least in levels)
    )


@pool.command("check")
@click.argument("needs", metavar="NEED...", nargs=-1, required=True)
@state_option
@click.pass_context
def check(ctx: click.Context, /, *, needs: tuple[str, ...], state: str | None) -> None:
    """Say whether NEED... could be met now, all at once, and with which entities.

    A NEED is written as for `explain`, which says more. Exits with 3 when the pool lacks it for now, and with 4 when it
    does not have it.
    """
    context: CommandContext = ctx.obj
    wanted = [needed(one) for one in needs]
    found = look(context, state, lambda pool: pool.check_resource_requirements(wanted))
    missing = [str(one) for one in found.missing_resources]
    available = sorted([one.id for one in found.available_resources])
    context.emit({"satisfied": found.satisfied, "tier": found.tier, "missing": missing, "available": available})
    if not found:
        context.message(words.shortage(found.missing_resources, found.tier))
    ctx.exit(EXIT[found.tier])
