"""The commands `framework why` and `framework pool explain`, which are one."""

from __future__ import annotations

import click

from framework import CommandContext
from plugin_pool.cli.opening import look, state_option
from plugin_pool.explanation import Explanation
from plugin_pool.need import needed
from plugin_pool.pool import ResourcePool
from plugin_pool.records import Tier

EXIT = {Tier.FREE: 0, Tier.BUSY: 3, Tier.ERROR: 3, Tier.IMPOSSIBLE: 4}
"""What a command ends with that was asked for something of a tier."""


@click.command("why")
@click.argument("needs", metavar="NEED...|TASK", nargs=-1, required=True)
@state_option
@click.pass_context
def why(ctx: click.Context, /, *, needs: tuple[str, ...], state: str | None) -> None:
    """Say whether the pool can meet NEED..., and if not, why and what would help.

    A NEED is a type, if need be with how many and with least levels: executor, 2*executor, or
    executor:web_search=5,file_ops. The id of a TASK that holds something explains that. The pool is that of the
    configuration, in which everything is free, or one that a program keeps. Exits with 3 when the pool lacks it for
    now, and with 4 when it does not have it.
    """
    context: CommandContext = ctx.obj
    found = look(context, state, lambda pool: _explained(pool, needs))
    if context.format == "table":
        if found.parts:
            context.emit(_rows(found), columns=("requirement", "condition", "entities"))
        context.message(found.sentence)
    else:
        context.emit(found.as_json())
    ctx.exit(EXIT[found.tier])


def _explained(pool: ResourcePool, words: tuple[str, ...]) -> Explanation:
    """Explain a task where the one word is the id of one; `1*name` is a type also where a task is called so."""
    if len(words) == 1 and pool.get_allocation(words[0]) is not None:
        return pool.explain(words[0])
    return pool.explain([needed(one) for one in words])


def _rows(found: Explanation) -> list[dict[str, object]]:
    return [
        {"requirement": str(part.requirement), "condition": step.condition, "entities": step.entities}
        for part in found.parts
        for step in part.funnel
    ]
