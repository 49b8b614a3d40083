"""The command `framework why`."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import click

from framework import CommandContext
from plugin_pool.explanation import Explanation
from plugin_pool.records import Tier

_NEED = re.compile(r"(?:(?P<count>\d+)\*)?(?P<type>[^:*=,]+)(?::(?P<capabilities>.+))?")
_EXIT = {Tier.FREE: 0, Tier.BUSY: 3, Tier.ERROR: 3, Tier.IMPOSSIBLE: 4}


class Need(click.ParamType[Any]):
    """A requirement as one writes it on a command line."""

    name = "need"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the requirement as a mapping."""
        if not isinstance(value, str):
            return value
        match = _NEED.fullmatch(value)
        if match is None:
            self.fail(
                f"{value!r} is none; write it as executor, 2*executor, or executor:web_search=5,file_ops", param, ctx
            )
        levels: dict[str, int] = {}
        for one in (match["capabilities"] or "").split(",") if match["capabilities"] else ():
            capability, _, level = one.partition("=")
            if level and not level.isdecimal():
                self.fail(f"the level of {capability!r} in {value!r} is {level!r}; 1 to 10 are allowed", param, ctx)
            levels[capability] = int(level or 1)
        return {"type": match["type"], "count": int(match["count"] or 1), "capabilities": levels}


@click.command("why")
@click.argument("needs", metavar="NEED...", nargs=-1, required=True, type=Need())
@click.pass_context
def why(ctx: click.Context, *, needs: tuple[Any, ...]) -> None:
    """Say whether the configured pool can meet NEED..., and if not, why and what would help.

    A NEED is a type, if need be with how many and with least levels: executor, 2*executor, or
    executor:web_search=5,file_ops. Exits with 3 when the pool lacks it for now, and with 4 when it does not have it.
    """
    found = asyncio.run(_explain(ctx.obj, needs))
    context: CommandContext = ctx.obj
    if context.format == "table":
        context.emit(_rows(found), columns=("requirement", "condition", "entities"))
        context.message(found.sentence)
    else:
        context.emit(found.as_json())
    ctx.exit(_EXIT[found.tier])


async def _explain(context: CommandContext, needs: tuple[Any, ...]) -> Explanation:
    async with context.open() as framework:
        pool = await framework.service("pool")
        found: Explanation = pool.explain(list(needs))
        return found


def _rows(found: Explanation) -> list[dict[str, object]]:
    return [
        {"requirement": str(part.requirement), "condition": step.condition, "entities": step.entities}
        for part in found.parts
        for step in part.funnel
    ]
