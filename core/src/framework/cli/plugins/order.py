"""`framework plugins order`: the order of starting, in layers, with the reason for each position."""

from __future__ import annotations

import click

from framework.cli.context import Context
from framework.cli.plugins._relations import BEFORE, Relation, waits

COLUMNS = ("position", "layer", "name", "reason")


@click.command("order")
@click.pass_obj
def command(context: Context) -> None:
    """Print the order in which plugins start, and why each has its place; nothing is imported.

    Plugins of one layer wait for none of each other, so they start at the same time. Stopping goes the other way.
    """
    plan = context.inventory.plan
    waiting = waits(context.inventory)
    layer_of = {name: number for number, layer in enumerate(plan.layers, 1) for name in layer}
    rows = [
        {
            "position": position,
            "layer": layer_of[name],
            "name": name,
            "reason": _reason(name, waiting[name]),
            "waits_for": [_waited(name, one) for one in waiting[name]],
        }
        for position, name in enumerate(plan.order, 1)
    ]
    context.emit(rows, columns=COLUMNS)
    if plan.blocked:
        context.message(f"Blocked, so without a place: {', '.join(plan.blocked)}. See `framework plugins why NAME`.")


def _waited(name: str, one: Relation) -> dict[str, object]:
    return {
        "plugin": one.other if one.plugin == name else one.plugin,
        "kind": one.kind,
        "requirement": one.requirement,
    }


def _reason(name: str, waiting: list[Relation]) -> str:
    said = [f"{one.plugin} is before" if one.kind == BEFORE else _said(one) for one in waiting]
    return "; ".join(said) or "waits for nobody"


def _said(one: Relation) -> str:
    return f"{one.kind} {one.other}" if one.requirement == one.other else f"{one.kind} {one.requirement} of {one.other}"
