"""`Relation`: one thing that a plugin says about another, and whether it has an effect; without importing any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from framework.inventory import Inventory
from framework.resolver import Candidate, parse
from framework.resolver.market import Market

REQUIRES, OPTIONAL, AFTER, BEFORE, CONFLICTS = "requires", "optional", "after", "before", "conflicts"
KINDS = (REQUIRES, OPTIONAL, AFTER, BEFORE, CONFLICTS)


@dataclass(frozen=True, slots=True)
class Relation:
    """What a plugin says about another in its manifest.

    `in_force` tells whether a requirement is met, a wish is honoured by the order, or a conflict stops somebody.
    """

    plugin: str
    other: str
    kind: str
    requirement: str
    in_force: bool

    @property
    def label(self) -> str:
        """The kind, with the requirement where that is not just the other's name."""
        return self.kind if self.requirement == self.other else f"{self.kind} {self.requirement}"


def relations(inventory: Inventory) -> list[Relation]:
    """Return what every plugin that is to run says about others, by plugin and kind.

    A requirement that nobody meets leads to whoever might, were it enabled or of another version, and else to a name
    that no plugin has. Of wishes only those about known plugins are returned.
    """
    market = Market(inventory.candidates)
    place = {name: number for number, layer in enumerate(inventory.plan.layers) for name in layer}
    found: list[Relation] = []
    for one in market.candidates.values():
        found += _required(one, market, inventory)
        found += _optional(one, market, inventory)
        for kind, wishes in ((AFTER, one.after), (BEFORE, one.before)):
            for other in wishes:
                if other in inventory.records and other != one.name:
                    first, second = (other, one.name) if kind == AFTER else (one.name, other)
                    honoured = first in place and second in place and place[first] < place[second]
                    found.append(Relation(one.name, other, kind, other, honoured))
        found += _conflicts(one, market, inventory)
    return found


def waits(inventory: Inventory) -> dict[str, list[Relation]]:
    """Return for each plugin that runs what it waits for: its own relations, and others' wishes to be before it."""
    found: dict[str, list[Relation]] = {name: [] for name in inventory.plan.order}
    for one in relations(inventory):
        if one.in_force and one.kind != CONFLICTS:
            found[one.other if one.kind == BEFORE else one.plugin].append(one)
    return found


def _required(one: Candidate, market: Market, inventory: Inventory) -> Iterator[Relation]:
    for text in one.requires:
        bound = inventory.plan.bound.get(one.name, {}).get(text)
        alive = [other for other in market.options(one.name, text) if other in inventory.plan.needs]
        other = bound or next(iter(alive), None) or _nearest(one.name, text, market, inventory)
        yield Relation(one.name, other or _name(text), REQUIRES, text, bool(bound or alive))


def _optional(one: Candidate, market: Market, inventory: Inventory) -> Iterator[Relation]:
    for text in one.optional:
        bound = inventory.plan.optional.get(one.name, {}).get(text)
        other = bound or _nearest(one.name, text, market, inventory)
        if other is not None:
            yield Relation(one.name, other, OPTIONAL, text, bound is not None)


def _conflicts(one: Candidate, market: Market, inventory: Inventory) -> Iterator[Relation]:
    for text in one.conflicts:
        for other in market.fitting(text):
            if other != one.name:
                stopped = (inventory.plan.steps.get(name) for name in (one.name, other))
                in_force = any(step is not None and step.cause.value == "conflict" for step in stopped)
                yield Relation(one.name, other, CONFLICTS, text, in_force)


def _nearest(user: str, text: str, market: Market, inventory: Inventory) -> str | None:
    """Return who would meet a requirement if it could run, were enabled, or had another version."""
    name = _name(text)
    known = [other for other, record in sorted(inventory.records.items()) if name == other or name in record.provides]
    named = [other for other in known if other == name]
    return next(iter([*market.options(user, text), *market.offers(name), *named, *known]), None)


def _name(text: str) -> str:
    try:
        return parse(text)[0]
    except ValueError:
        return text
