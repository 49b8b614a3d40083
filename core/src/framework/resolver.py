"""Orders plugins by what they require, and says of each that cannot run why.

Hard requirements name a plugin or a capability (something a plugin provides), with an optional version range. They
block; `after` only orders. The order is topological and deterministic: among those that are ready, the first by name.
(Kahn, "Topological sorting of large networks", CACM 5(11), 1962; the standard library's `graphlib` does the sorting.)
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from framework.errors import did_you_mean

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<range>[<>=!~].*)?$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the resolver needs to know of one enabled plugin."""

    name: str
    version: str = ""
    provides: Collection[str] = ()
    requires: Collection[str] = ()
    after: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The order to start in, what each plugin needs from which others, and why the rest is blocked."""

    order: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]]
    blocked: Mapping[str, str]
    layers: tuple[tuple[str, ...], ...] = ()


def resolve(candidates: Iterable[Candidate], elsewhere: Mapping[str, str] | None = None) -> Plan:
    """Return the plan for the candidates.

    Args:
        candidates: The enabled plugins, each name once.
        elsewhere: For names and capabilities that only plugins outside the candidates have: why those do not count,
            as in "plugin 'file' would provide it, but is disabled".
    """
    alive = {one.name: one for one in sorted(candidates, key=lambda one: one.name)}
    blocked: dict[str, str] = {}
    lost = {name: f"but {why}" for name, why in (elsewhere or {}).items()}
    while True:
        edges, failing = _bind(alive, lost)
        if not failing:
            failing = _cycles(edges)
        if not failing:
            break
        blocked |= failing
        for name, reason in failing.items():
            why = reason.rstrip(".")
            lost |= dict.fromkeys(alive[name].provides, f"which plugin {name!r} provides, which is blocked: {why}")
            lost[name] = f"which is blocked: {why}"
        alive = {name: one for name, one in alive.items() if name not in failing}
    needs = {name: tuple(sorted(set(bound.values()))) for name, bound in edges.items()}
    order = _order(alive, needs)
    return Plan(order, needs, dict(sorted(blocked.items())), tuple((name,) for name in order))


def parse(requirement: str) -> tuple[str, str]:
    """Return the name and the version range of a requirement; the range may be empty.

    Raises:
        ValueError: It is not a name with an optional version range.
    """
    match = _REQUIREMENT.match(requirement.strip())
    if match is None:
        msg = f"has the malformed requirement {requirement!r}; allowed: a name with an optional version range"
        raise ValueError(msg)
    return match["name"], (match["range"] or "").strip()


def _bind(alive: Mapping[str, Candidate], lost: Mapping[str, str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Bind each requirement to the plugin that meets it; return the bindings, and a reason for each without one."""
    providers: dict[str, list[Candidate]] = {}
    for one in alive.values():
        for capability in {one.name, *one.provides}:
            providers.setdefault(capability, []).append(one)
    edges: dict[str, dict[str, str]] = {name: {} for name in alive}
    failing: dict[str, str] = {}
    for one in alive.values():
        for requirement in one.requires:
            try:
                edges[one.name][requirement] = _choose(requirement, providers, lost)
            except ValueError as error:
                failing[one.name] = f"Plugin {one.name!r} {error}."
                break
    return edges, failing


def _choose(requirement: str, providers: Mapping[str, list[Candidate]], lost: Mapping[str, str]) -> str:
    name, versions = parse(requirement)
    offers = providers.get(name, [])
    fitting = [one for one in offers if not versions or _fits(one.version, versions)]
    if fitting:
        return fitting[0].name
    if offers:
        found = ", ".join(f"{one.name} {one.version or '(no version)'}" for one in offers)
        msg = f"requires {requirement!r}, but found is {found}"
    elif name in lost:
        msg = f"requires {name!r}, {lost[name]}"
    else:
        hint = did_you_mean(name, providers).rstrip("?")
        msg = f"requires {name!r}, which no installed plugin is called or provides{f' ({hint}?)' if hint else ''}"
    raise ValueError(msg)


def _fits(version: str, versions: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(versions).contains(version, prereleases=True)
    except InvalidVersion:
        return False
    except InvalidSpecifier as error:
        msg = f"has the malformed version range {versions!r}: {error}"
        raise ValueError(msg) from error


def _cycles(edges: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return a reason for every member of a cycle of hard requirements."""
    reasons: dict[str, str] = {}
    graph = {name: set(bound.values()) for name, bound in edges.items()}
    for name, members in _rings(graph).items():
        ring = _shortest(name, {one: sorted(graph[one] & members) for one in members})
        start = ring.index(min(ring))
        path = " -> ".join([*ring[start:], *ring[: start + 1]])
        reasons[name] = f"Plugin {name!r} is part of the cycle of requirements {path}."
    return reasons


def _rings(graph: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return, for each name that can reach itself, all names that it can reach and that can reach it."""
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        pass
    else:
        return {}
    settled: set[str] = set()
    while ready := sorter.get_ready():  # what cycles do not hold up
        settled.update(ready)
        sorter.done(*ready)
    stuck = {name: set(others) - settled for name, others in graph.items() if name not in settled}
    reach = {name: _reachable(name, stuck) for name in stuck}
    return {name: {one for one in reach[name] if name in reach[one]} for name in stuck if name in reach[name]}


def _reachable(start: str, graph: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = set(graph[todo.pop()]) - found
        found |= new
        todo.extend(new)
    return found


def _shortest(start: str, graph: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names on a shortest way from a name back to itself, the name first."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:  # which grows as it is walked: breadth first
        for other in graph[way[-1]]:
            if other == start:
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return [start]


def _order(alive: Mapping[str, Candidate], needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the order; a wish (`after`) that is part of a cycle does not count: wishes order where they can."""
    graph = {name: {*needs[name], *(other for other in one.after if other in alive)} for name, one in alive.items()}
    for name, members in _rings(graph).items():
        graph[name] -= members - set(needs[name])
    sorter = graphlib.TopologicalSorter(graph)
    sorter.prepare()
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return tuple(order)
