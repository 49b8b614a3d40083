"""Orders plugins by what they require, and says of each that cannot run why.

What runs is the greatest set in which each requirement of each plugin (a plugin or a capability, with an optional range
of versions) is met by a plugin that runs and can start before it. What several plugins provide is met as long as one of
them runs, so a cycle that an alternative breaks blocks nobody. Of two in conflict that have all they require neither
runs: choosing would be guessing. Optional requirements, `after` and `before` order where they can, and block nobody.

The plan depends on the candidates alone, not on their order. `docs/explanation/resolution.md` has the rules in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from framework.frozen import Frozen, replace
from framework.resolver import ordering
from framework.resolver.growth import Growth
from framework.resolver.market import Candidate, Market, parse

if TYPE_CHECKING:
    from framework.resolver.reasons import Step

__all__ = ["Candidate", "Plan", "parse", "resolve"]


class Plan(Frozen):
    """The order to start in, what each plugin needs from which others, and why the rest is blocked."""

    order: tuple[str, ...]
    """The layers, one after the other."""
    needs: Mapping[str, tuple[str, ...]]
    """For each that runs, the plugins without which it cannot."""
    blocked: Mapping[str, str]
    """For each that cannot run, why, as one sentence."""
    layers: tuple[tuple[str, ...], ...] = ()
    """Plugins of one layer do not wait for each other; they can start at once."""
    bound: Mapping[str, Mapping[str, str]] = {}
    """For each that runs, who meets each of its requirements."""
    optional: Mapping[str, Mapping[str, str]] = {}
    """For each that runs, who meets each optional requirement that can be met."""
    steps: Mapping[str, Step] = {}
    """For each that cannot run, what stops it."""

    def chain(self, name: str) -> Iterator[Step]:
        """Yield why a blocked plugin cannot run, from the plugin down to the root; nothing for one that runs."""
        step = self.steps.get(name)
        while step is not None:
            yield step
            step = self.steps[step.others[0]] if step.cause.value == "blocked" else None


def resolve(candidates: Iterable[Candidate], elsewhere: Mapping[str, str] | None = None) -> Plan:
    """Return the plan for the candidates.

    Args:
        candidates: The enabled plugins, each name once.
        elsewhere: For names and capabilities that only plugins outside the candidates have: why those do not count,
            as in "plugin 'file' would provide it, but is disabled".
    """
    market = Market(candidates)
    levels, out = Growth(market).settle()
    bound = ordering.bind(market, levels)
    needs = {name: tuple(sorted({*found.values()})) for name, found in bound.items()}
    optional = ordering.bind_optional(market, needs)
    firm = {name: {*needs[name], *optional[name].values()} for name in needs}
    layers = ordering.layers(ordering.untangle(firm, ordering.wishes(market, needs)))
    order = tuple(name for layer in layers for name in layer)
    plan = Plan(order, needs, {}, layers, bound, optional)
    return plan if len(levels) == len(market.candidates) else _blocking(plan, market, out, elsewhere or {})


def _blocking(plan: Plan, market: Market, out: set[str], elsewhere: Mapping[str, str]) -> Plan:
    from framework.resolver.reasons import explain, sentences  # only where something is wrong

    steps = explain(market, plan.needs, out, elsewhere)
    return replace(plan, steps=steps, blocked=sentences(steps))
