"""`framework plugins why`: why a plugin can run or not, down to the root of it, and what would help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from framework.cli import output
from framework.cli.context import Context
from framework.cli.plugins import known
from framework.cli.plugins._relations import OPTIONAL, REQUIRES, Relation, relations
from framework.errors import PluginNotFoundError
from framework.inventory import Inventory
from framework.records import PluginRecord, PluginState

if TYPE_CHECKING:
    from framework.resolver.reasons import Step

_NEEDS = (REQUIRES, OPTIONAL)


@click.command("why")
@click.argument("name")
@click.pass_obj
def command(context: Context, name: str) -> None:
    """Tell why a plugin can run or not; nothing is imported.

    Of one that can: what it needs, and who needs it. Of any other: the reasons, one a line, from the plugin down to the
    root, and the way out.
    """
    record = _known(context, name)
    inventory = context.inventory
    chain = list(inventory.plan.chain(name))
    reasons = [asdict(step) | {"cause": step.cause.value} for step in chain] or _reason(record)
    way_out = _way_out(chain[-1], inventory) if chain else _way_in(context, record)
    needed = [one for one in relations(inventory) if one.in_force and one.kind in _NEEDS]
    needs = [one for one in needed if one.plugin == name]
    needed_by = [one for one in needed if one.other == name and one.plugin in inventory.plan.needs]
    layer = next((number for number, layer in enumerate(inventory.plan.layers, 1) if name in layer), None)
    if context.format == output.TABLE:
        running = _running(name, needs, needed_by) if layer else iter(())
        numbered = (f"{number}. {_ended(str(reason['text']))}" for number, reason in enumerate(reasons, 1))
        for line in (_head(record, layer), *running, *numbered, *([f"Way out: {way_out}"] if way_out else [])):
            context.emit(line)
        return
    context.emit(
        {
            "name": name,
            "version": record.version,
            "state": record.state.value,
            "layer": layer,
            "reasons": reasons,
            "way_out": way_out,
            "needs": [{"plugin": one.other, "kind": one.kind, "requirement": one.requirement} for one in needs],
            "needed_by": [
                {"plugin": one.plugin, "kind": one.kind, "requirement": one.requirement} for one in needed_by
            ],
        }
    )


def _ended(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _known(context: Context, name: str) -> PluginRecord:
    """Return a plugin's row; for the name of something that plugins provide, name those."""
    records = context.inventory.records
    providers = sorted(one.name for one in records.values() if name in one.provides)
    if name not in records and providers:
        commands = " or ".join(f"`framework plugins why {one}`" for one in providers)
        msg = f"No plugin is called {name!r}, but plugin {', '.join(map(repr, providers))} provides it."
        raise PluginNotFoundError(msg, f"Ask {commands}.", plugin=name)
    return known(context, name)


def _reason(record: PluginRecord) -> list[dict[str, object]]:
    """Return the one reason of a plugin that did not even take part, such as a broken one."""
    text = record.reason.rstrip(".")
    if record.state is PluginState.DISABLED:
        text = text or f"Plugin {record.name!r} is not enabled by the configuration"
    if not text:
        return []
    return [{"plugin": record.name, "requirement": "", "cause": record.state.value, "others": [], "text": text}]


def _way_in(context: Context, record: PluginRecord) -> str:
    if record.state is not PluginState.DISABLED:
        return ""
    if context.settings.get("safe_mode") and record.name in (context.settings.plugins or {}):
        return "Start without --safe-mode."
    return f"Enable it: `framework plugins enable {record.name}`."


def _head(record: PluginRecord, layer: int | None) -> str:
    version = f" {record.version}" if record.version else ""
    place = f", and can start, in layer {layer}" if layer else ""
    return f"Plugin {record.name!r}{version} is {record.state.value}{place}."


def _running(name: str, needs: list[Relation], needed_by: list[Relation]) -> Iterator[str]:
    for one in needs:
        what = "requires" if one.kind == REQUIRES else "would like"
        provided = "" if one.requirement == one.other else f", which plugin {one.other!r} meets"
        yield f"It {what} {one.requirement!r}{provided}."
    if not needs:
        yield "It needs no other plugin."
    for one in needed_by:
        what = "requires" if one.kind == REQUIRES else "would like"
        yield f"Plugin {one.plugin!r} {what} {'it' if one.requirement == name else f'it, as {one.requirement!r}'}."
    if not needed_by:
        yield "No other plugin needs it."


def _way_out(root: Step, inventory: Inventory) -> str:
    """Return what would remove the root of a chain of reasons."""
    name = root.plugin
    others = ", ".join(map(repr, root.others))
    if root.cause.value == "unavailable":
        return _make_available(root, inventory)
    return {
        "missing": f"Install a plugin that is called or provides {root.requirement!r}, or disable {name!r}.",
        "version": f"Install a version of {others} that fits {root.requirement!r}, or disable {name!r}.",
        "contradiction": f"Install another plugin that meets {root.requirement!r}, or disable {name!r}.",
        "conflict": f"Disable {name!r}, or else {others}, as with `framework plugins disable {name}`.",
        "cycle": f"Install another plugin that meets one of the requirements between {others}, or do without these.",
        "malformed": f"Report this to the author of {name!r}, or disable it.",
    }[root.cause.value]


def _make_available(root: Step, inventory: Inventory) -> str:
    from framework.resolver import parse

    wanted, _ = parse(root.requirement)
    found = [one for one in inventory.records.values() if wanted == one.name or wanted in one.provides]
    disabled = sorted(one.name for one in found if one.state is PluginState.DISABLED)
    if disabled:
        return f"Enable {disabled[0]!r}: `framework plugins enable {disabled[0]}`."
    return f"Repair {', '.join(sorted(repr(one.name) for one in found))}, or disable {root.plugin!r}."
