"""The commands `framework why` and `framework pool explain`, which are one."""

from __future__ import annotations

import click

from framework import CommandContext
from plugin_pool.cli.opening import with_pool
from plugin_pool.explanation import Explanation
from plugin_pool.need import needed
from plugin_pool.records import Tier

EXIT = {Tier.FREE: 0, Tier.BUSY: 3, Tier.ERROR: 3, Tier.IMPOSSIBLE: 4}
"""What a command ends with that was asked for something of a tier."""


@click.command("why")
@click.argument("needs", metavar="NEED...", nargs=-1, required=True)
@click.pass_context
def why(ctx: click.Context, *, needs: tuple[str, ...]) -> None:
    """Say whether the configured pool can meet NEED..., and if not, why and what would help.

    A NEED is a type, if need be with how many and with least levels: executor, 2*executor, or
    executor:web_search=5,file_ops. Exits with 3 when the pool lacks it for now, and with 4 when it does not have it.
    """
    context: CommandContext = ctx.obj
    wanted = [needed(one) for one in needs]
    found = with_pool(context, lambda pool: pool.explain(wanted))
    if context.format == "table":
        context.emit(_rows(found), columns=("requirement", "condition", "entities"))
        context.message(found.sentence)
    else:
        context.emit(found.as_json())
    ctx.exit(EXIT[found.tier])


def _rows(found: Explanation) -> list[dict[str, object]]:
    return [
        {"requirement": str(part.requirement), "condition": step.condition, "entities": step.entities}
        for part in found.parts
        for step in part.funnel
    ]
