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


def resolve(candidates: Iterable[Candidate], elsewhere: Mapping[str, str] | None = None) -> Plan:
    """Return the plan for the candidates.

    Args:
        candidates: The enabled plugins, each name once.
        elsewhere: For names and capabilities that only plugins outside the candidates have: why those do not count,
            as in "plugin 'file' would provide it, but is disabled".
    """
    alive = {one.name: one for one in sorted(candidates, key=lambda one: one.name)}
    blocked: dict[str, str] = {}
    edges: dict[str, dict[str, str]] = {}
    while True:
        edges, failing = _bind(alive, blocked, elsewhere or {})
        if not failing:
            failing = _cycles(edges)
        if not failing:
            break
        blocked |= failing
        alive = {name: one for name, one in alive.items() if name not in failing}
    needs = {name: tuple(sorted(set(bound.values()))) for name, bound in edges.items()}
    return Plan(_order(alive, needs), needs, dict(sorted(blocked.items())))


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


def _bind(
    alive: Mapping[str, Candidate], blocked: Mapping[str, str], elsewhere: Mapping[str, str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
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
                edges[one.name][requirement] = _choose(requirement, providers, blocked, elsewhere)
            except ValueError as error:
                failing[one.name] = f"Plugin {one.name!r} {error}."
                break
    return edges, failing


def _choose(
    requirement: str,
    providers: Mapping[str, list[Candidate]],
    blocked: Mapping[str, str],
    elsewhere: Mapping[str, str],
) -> str:
    name, versions = parse(requirement)
    offers = providers.get(name, [])
    fitting = [one for one in offers if not versions or _fits(one.version, versions)]
    if fitting:
        return fitting[0].name
    if offers:
        found = ", ".join(f"{one.name} {one.version or '(no version)'}" for one in offers)
        msg = f"requires {requirement!r}, but found is {found}"
    elif name in blocked:
        msg = f"requires {name!r}, which is blocked: {blocked[name].rstrip('.')}"
    elif name in elsewhere:
        msg = f"requires {name!r}, but {elsewhere[name]}"
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
    """Return the reasons of the members of one cycle of hard requirements, or nothing if there is none."""
    try:
        graphlib.TopologicalSorter({name: set(bound.values()) for name, bound in edges.items()}).prepare()
    except graphlib.CycleError as error:
        members = list(reversed(error.args[1][:-1]))
        start = members.index(min(members))
        ring = members[start:] + members[:start]
        path = " -> ".join([*ring, ring[0]])
        return {name: f"Plugin {name!r} is part of the cycle of requirements {path}." for name in ring}
    return {}


def _order(alive: Mapping[str, Candidate], needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    graph = {name: {*needs[name], *(other for other in one.after if other in alive)} for name, one in alive.items()}
    while True:
        sorter = graphlib.TopologicalSorter(graph)
        try:
            sorter.prepare()
            break
        except graphlib.CycleError as error:
            _soften(graph, needs, error.args[1])
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return tuple(order)


def _soften(graph: dict[str, set[str]], needs: Mapping[str, tuple[str, ...]], cycle: list[str]) -> None:
    """Drop the wishes (`after`) in a cycle: they order only where they can."""
    for name in cycle:
        graph[name] = {other for other in graph[name] if other in needs[name] or other not in cycle}
