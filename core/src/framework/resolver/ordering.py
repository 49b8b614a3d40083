"""The order: whom each plugin is bound to, which wishes count, and the layers that can start at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from framework.resolver.market import Market

Bound = dict[str, dict[str, str]]
"""For each plugin, the plugin that meets each of its requirements."""
Graph = Mapping[str, Collection[str]]


def bind(market: Market, levels: Mapping[str, int]) -> Bound:
    """Return who meets each requirement of those that run, without a cycle.

    It is the first of the options, unless that one needs the plugin in turn: then the first that was startable earlier.
    """
    bound = {name: _first_options(market, name, levels) for name in market.candidates if name in levels}
    while rings := components({name: set(each.values()) for name, each in bound.items()}):
        for name, ring in rings.items():
            for requirement, other in bound[name].items():
                if rings.get(other) == ring:
                    earlier = (one for one in market.others(name, requirement) if one in levels)
                    bound[name][requirement] = next(one for one in earlier if levels[one] < levels[name])
    return bound


def _first_options(market: Market, name: str, alive: Collection[str]) -> dict[str, str]:
    requires = market.candidates[name].requires
    return {text: next(one for one in market.others(name, text) if one in alive) for text in requires}


def bind_optional(market: Market, needs: Graph) -> Bound:
    """Return who meets each optional requirement of those that run; one that would close a cycle is left out."""
    bound: Bound = {}
    for name in needs:
        found = {}
        for text in market.candidates[name].optional:
            option = next((one for one in market.others(name, text) if one in needs), None)
            if option is not None:
                found[text] = option
        bound[name] = found
    kept = untangle(needs, {name: set(found.values()) for name, found in bound.items()})
    return {name: {text: one for text, one in found.items() if one in kept[name]} for name, found in bound.items()}


def wishes(market: Market, alive: Collection[str]) -> dict[str, set[str]]:
    """Return after whom each of those that run would like to start, or others would like it to."""
    found = {name: {other for other in market.candidates[name].after if other in alive} - {name} for name in alive}
    for name in alive:
        for other in market.candidates[name].before:
            if other in alive and other != name:
                found[other].add(name)
    return found


def untangle(firm: Graph, soft: Graph) -> dict[str, set[str]]:
    """Return a graph without cycles: all firm edges, and the soft ones that are on no cycle."""
    both = {name: {*others, *soft[name]} for name, others in firm.items()}
    for name, ring in (rings := components(both)).items():
        both[name] -= {other for other in both[name] if rings.get(other) == ring} - set(firm[name])
    return both


def layers(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Return the names in layers: each in the first one that comes after all that it waits for."""
    return tuple(tuple(sorted(layer)) for layer in _peel(graph)[0])


def components(graph: Graph) -> dict[str, str]:
    """Return for each name that can reach itself the first, by name, of those it is in a cycle with.

    (Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Computing 1(2), 1972, without recursion.)
    """
    left = _peel(graph)[1]
    found: dict[str, str] = {}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    for root in left:
        todo = [] if root in index else [(root, iter(left[root]))]
        while todo:
            name, others = todo[-1]
            if name not in index:
                index[name] = low[name] = len(index)
                path.append(name)
            other = next(others, None)
            if other is None:
                todo.pop()
                if todo:
                    low[todo[-1][0]] = min(low[todo[-1][0]], low[name])
                if low[name] == index[name]:
                    found |= _cut(path, name, low, len(index) + len(left), left)
            elif other not in index:
                todo.append((other, iter(left[other])))
            else:
                low[name] = min(low[name], low[other])
    return found


def _cut(path: list[str], root: str, low: dict[str, int], done: int, graph: Graph) -> dict[str, str]:
    """Take a finished component off the path; return it unless it is a single name without a cycle."""
    members = [path.pop()]
    while members[-1] != root:
        members.append(path.pop())
    low |= dict.fromkeys(members, done)  # never again the least
    return dict.fromkeys(members, min(members)) if len(members) > 1 or root in graph[root] else {}


def _peel(graph: Graph) -> tuple[list[list[str]], dict[str, list[str]]]:
    """Return the layers, and what cycles hold up (Kahn, "Topological sorting of large networks", CACM 5(11), 1962)."""
    waiting = {name: len(set(others)) for name, others in graph.items()}
    users: dict[str, list[str]] = {}
    for name, others in graph.items():
        for other in set(others):
            users.setdefault(other, []).append(name)
    found: list[list[str]] = []
    ready: Iterable[str] = [name for name, count in waiting.items() if not count]
    while ready:
        found.append(list(ready))
        following = []
        for name in ready:
            del waiting[name]
            for user in users.get(name, ()):
                waiting[user] -= 1
                if not waiting[user]:
                    following.append(user)
        ready = following
    return found, {name: sorted(other for other in graph[name] if other in waiting) for name in waiting}
