"""`framework plugins graph`: who requires, follows or excludes whom, as text, Mermaid or DOT, or as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from framework.cli import output
from framework.cli.context import Context
from framework.cli.plugins._relations import AFTER, BEFORE, CONFLICTS, OPTIONAL, REQUIRES, Relation, relations
from framework.inventory import Inventory

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Node:
    """One plugin of the graph, or a name that is required and that no plugin has; its state is then `missing`."""

    name: str
    version: str
    state: str
    layer: int | None
    """Counted from one; None for what cannot start."""

    @property
    def label(self) -> str:
        """The name, and the state of what cannot run."""
        return self.name if self.layer is not None else f"{self.name} ({self.state})"


@click.command("graph")
@click.option(
    "--format",
    "drawing",
    type=click.Choice(("text", "mermaid", "dot")),
    help="How the graph is drawn: for people (the default), for Markdown pages, or for Graphviz.",
)
@click.pass_obj
def command(context: Context, drawing: str | None) -> None:
    """Draw the enabled plugins and what they say about each other; nothing is imported.

    Blocked plugins are marked. With -o json, yaml or ndjson the graph is one document of nodes and edges.
    """
    nodes, edges = _graph(context.inventory)
    if context.format != output.TABLE:
        if drawing is not None:
            raise click.UsageError(f"--format {drawing} and -o {context.format} exclude each other; give one of them.")
        context.emit({"nodes": [asdict(one) for one in nodes], "edges": [asdict(one) for one in edges]})
        return
    for line in {"mermaid": mermaid, "dot": dot}.get(drawing or "", text)(nodes, edges):
        context.emit(line)


def _graph(inventory: Inventory) -> tuple[list[Node], list[Relation]]:
    edges = relations(inventory)
    layer_of = {name: number for number, layer in enumerate(inventory.plan.layers, 1) for name in layer}
    names = {one.name for one in inventory.candidates} | {one.other for one in edges}
    nodes = []
    for name in sorted(names):
        record = inventory.records.get(name)
        state = record.state.value if record else MISSING
        nodes.append(Node(name, record.version if record else "", state, layer_of.get(name)))
    return nodes, edges


def text(nodes: list[Node], edges: list[Relation]) -> Iterator[str]:
    """Yield the lines of a drawing for people: layer by layer, below each plugin what it says about others."""
    labels = {one.name: one.label for one in nodes}
    layers = sorted({one.layer for one in nodes if one.layer is not None})
    for layer in [*layers, None]:
        members = [one for one in nodes if one.layer == layer]
        if members:
            yield f"layer {layer}" if layer is not None else "cannot start"
        for node in members:
            yield f"  {node.label}"
            for one in edges:
                if one.plugin == node.name:
                    how = "" if one.requirement == one.other else f"{one.requirement} of "
                    yield f"    {one.kind} {how}{labels[one.other]}{_note(one)}"


def mermaid(nodes: list[Node], edges: list[Relation]) -> Iterator[str]:
    """Yield the lines of a Mermaid flow chart."""
    arrows = {REQUIRES: "-->", OPTIONAL: "-.->", AFTER: "-.->", BEFORE: "-.->", CONFLICTS: "x--x"}
    numbers = {one.name: f"n{number}" for number, one in enumerate(nodes)}
    yield "flowchart LR"
    for node in nodes:
        yield f'  {numbers[node.name]}["{_mermaid(node.label)}"]'
    for one in edges:
        label = _mermaid(f"{one.label}{_note(one)}")
        yield f'  {numbers[one.plugin]} {arrows[one.kind]}|"{label}"| {numbers[one.other]}'
    stuck = [numbers[node.name] for node in nodes if node.layer is None]
    if stuck:
        yield "  classDef blocked stroke:#c00,stroke-dasharray:4"
        yield f"  class {','.join(stuck)} blocked"


def dot(nodes: list[Node], edges: list[Relation]) -> Iterator[str]:
    """Yield the lines of a graph in the DOT language."""
    styles = {
        REQUIRES: "style=solid",
        OPTIONAL: "style=dashed",
        AFTER: "style=dotted",
        BEFORE: "style=dotted",
        CONFLICTS: "style=bold, dir=none",
    }
    numbers = {one.name: f"n{number}" for number, one in enumerate(nodes)}
    yield "digraph plugins {"
    yield "  rankdir=LR;"
    for node in nodes:
        style = "" if node.layer is not None else ", style=dashed, color=red"
        yield f'  {numbers[node.name]} [label="{_dot(node.label)}"{style}];'
    for one in edges:
        label = _dot(f"{one.label}{_note(one)}")
        yield f'  {numbers[one.plugin]} -> {numbers[one.other]} [label="{label}", {styles[one.kind]}];'
    yield "}"


def _note(one: Relation) -> str:
    if one.in_force:
        return ""
    return {REQUIRES: " (not met)", CONFLICTS: " (stops nobody)"}.get(one.kind, " (left out)")


def _mermaid(label: str) -> str:
    """Return a label with everything but plain letters, digits and harmless signs as `#number;`."""
    return "".join(c if (c.isascii() and c.isalnum()) or c in " _.-,()" else f"#{ord(c)};" for c in _visible(label))


def _dot(label: str) -> str:
    r"""Return a label for a quoted string of DOT, in which `\` starts an escape and `&` an entity."""
    return _visible(label).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _visible(label: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in label)
