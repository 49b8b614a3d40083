"""Why those that are blocked cannot run: one step for each, which leads on until the root of it."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping

from framework.errors import did_you_mean
from framework.frozen import Frozen
from framework.resolver.market import Market, fault, parse
from framework.resolver.ordering import components

SHOWN = 8
"""How many names, or steps, one sentence holds; each plugin's chain holds all of them."""


class Cause(enum.Enum):
    """What stops a plugin."""

    MALFORMED = "malformed"  # the requirement cannot be read
    MISSING = "missing"  # nobody is called so or provides it
    VERSION = "version"  # it is there, but not in the version required
    UNAVAILABLE = "unavailable"  # it is installed, but disabled or broken
    CONFLICT = "conflict"  # another that could run, too, must not run beside it
    CONTRADICTION = "contradiction"  # it conflicts with all that would meet a requirement of it
    CYCLE = "cycle"  # it requires, in the end, itself
    BLOCKED = "blocked"  # who would meet the requirement is blocked; the chain goes on with the first of `others`


class Step(Frozen):
    """One link of a chain of reasons; `text` is a sentence without its full stop."""

    plugin: str
    requirement: str
    cause: Cause
    others: tuple[str, ...]
    text: str


def explain(market: Market, levels: Collection[str], out: Collection[str], lost: Mapping[str, str]) -> dict[str, Step]:
    """Return the step of each that is blocked.

    What is missing comes before what is blocked by it, and cycles come last: they are the reason only for those that
    would stay blocked if nothing were missing.

    Args:
        market: All candidates.
        levels: Who runs.
        out: Who stays out because of a conflict.
        lost: For names and capabilities that only plugins outside the candidates have: why those do not count.
    """
    return _Explanation(market, levels, out, lost).steps


def sentences(steps: Mapping[str, Step]) -> dict[str, str]:
    """Return for each blocked plugin its chain of steps as one sentence; the middle of a long one is left out."""
    ends: dict[str, tuple[int, Step]] = {}
    for start in steps:
        way = [start]
        while way[-1] not in ends and steps[way[-1]].cause is Cause.BLOCKED:
            way.append(steps[way[-1]].others[0])
        length, root = ends.get(way[-1], (1, steps[way[-1]]))
        ends |= {name: (length + number, root) for number, name in enumerate(reversed(way))}
    return {name: _sentence(name, steps, *ends[name]) for name in steps}


def _sentence(name: str, steps: Mapping[str, Step], length: int, root: Step) -> str:
    texts: list[str] = []
    for _ in range(min(length - 1, SHOWN - 2 if length > SHOWN else length)):
        texts.append(steps[name].text)
        name = steps[name].others[0]
    more = [f"and so on over {length - len(texts) - 1} more"] if length > SHOWN else []
    return f"{': '.join([*texts, *more, root.text])}."


class _Explanation:
    def __init__(self, market: Market, levels: Collection[str], out: Collection[str], lost: Mapping[str, str]) -> None:
        self._market = market
        self._lost = lost
        self._hints = SHOWN  # one takes 10 ms among a thousand names
        self._unmet = {
            name: [text for text in one.requires if not any(each in levels for each in market.others(name, text))]
            for name, one in market.candidates.items()
            if name not in levels
        }
        self.steps: dict[str, Step] = {name: self._conflict(name) for name in self._unmet if name in out}
        self.steps |= {name: step for name in self._unmet.keys() - out if (step := self._root(name))}
        self._spread()
        self._add_cycles()
        self.steps = dict(sorted(self.steps.items()))

    def _root(self, name: str) -> Step | None:
        """Return the step of a plugin with a requirement, or conflict, that no candidate could ever meet."""
        for text in self._market.candidates[name].conflicts:
            if wrong := fault(text):
                return Step(name, text, Cause.MALFORMED, (), f"Plugin {name!r} {wrong}")
        for text in self._unmet[name]:
            if not self._market.options(name, text):
                cause, others, what = self._lack(name, text)
                return Step(name, text, cause, others, f"Plugin {name!r} {what}")
        return None

    def _lack(self, user: str, text: str) -> tuple[Cause, tuple[str, ...], str]:
        if wrong := fault(text):
            return Cause.MALFORMED, (), wrong
        if enemies := self._market.fitting(text):
            return (
                Cause.CONTRADICTION,
                enemies,
                f"requires {text!r}, but conflicts with {_named(enemies)}, which would meet it",
            )
        name, _ = parse(text)
        if offers := tuple(self._market.offers(name)):
            found = [f"{one} {self._market.candidates[one].version or '(no version)'}" for one in offers]
            return Cause.VERSION, offers, f"requires {text!r}, but found is {_few(found)}"
        if name in self._lost:
            return Cause.UNAVAILABLE, (), f"requires {name!r}, but {self._lost[name].rstrip('.')}"
        self._hints -= 1
        hint = did_you_mean(name, self._market.names()).rstrip("?") if self._hints >= 0 else ""
        said = f"requires {name!r}, which no installed plugin is called or provides{f' ({hint}?)' if hint else ''}"
        return Cause.MISSING, (), said

    def _conflict(self, name: str) -> Step:
        others = tuple(sorted(self._market.enemies[name]))
        mine = [(name, text) for text in self._market.candidates[name].conflicts]
        said = next((text for _, text in mine if {*self._market.fitting(text)} & {*others}), "")
        text = f"Plugin {name!r} conflicts with {_named(others)}; only one of them can be enabled"
        return Step(name, said, Cause.CONFLICT, others, text)

    def _spread(self) -> None:
        """Add those that are blocked because all that would meet one of their requirements are, in rounds."""
        left = {name for name in self._unmet if name not in self.steps}
        users: dict[str, list[str]] = {}
        for name in left:
            for text in self._unmet[name]:
                for option in self._market.options(name, text):
                    users.setdefault(option, []).append(name)
        todo = list(self.steps)
        while todo:
            near = sorted({user for name in todo for user in users.get(name, ())} & left)
            found = {name: step for name in near if (step := self._follow(name, self.steps))}
            self.steps |= found
            left -= found.keys()
            todo = list(found)

    def _follow(self, name: str, known: Mapping[str, object]) -> Step | None:
        for text in self._unmet[name]:
            options = self._market.options(name, text)
            if all(option in known for option in options):
                return self._blocked(name, text, options)
        return None

    def _blocked(self, name: str, text: str, options: tuple[str, ...]) -> Step:
        wanted, _ = parse(text)
        what = f"Plugin {name!r} requires {wanted!r}"
        if options == (wanted,):
            what = f"{what}, which is blocked"
        elif len(options) == 1:
            what = f"{what}, which plugin {options[0]!r} provides, which is blocked"
        else:
            what = f"{what}, which {_named(options)} provide, which are all blocked"
        return Step(name, text, Cause.BLOCKED, options, what)

    def _add_cycles(self) -> None:
        """Add the members of cycles, and those that are blocked by them."""
        left = sorted(self._unmet.keys() - self.steps.keys())
        graph = {
            name: list(
                dict.fromkeys(
                    one
                    for text in self._unmet[name]
                    for one in self._market.options(name, text)
                    if one not in self.steps
                )
            )
            for name in left
        }
        rings = components(graph)
        near = {name: [one for one in graph[name] if rings.get(one) == rings[name]] for name in rings}
        for name in sorted(rings):
            if name not in self.steps:
                self._add_ring(_shortest(name, near))
        for name in left:
            if name not in self.steps:
                text = next(
                    text for text in self._unmet[name] if any(one in graph for one in self._market.options(name, text))
                )
                options = self._market.options(name, text)
                first = tuple(one for one in options if one in graph)
                self.steps[name] = self._blocked(name, text, (*first, *(one for one in options if one not in first)))

    def _add_ring(self, ring: list[str]) -> None:
        start = ring.index(min(ring))
        names = tuple(ring[start:] + ring[:start])
        shown = (
            [*names, names[0]] if len(names) <= SHOWN else [*names[:SHOWN], f"({len(names) - SHOWN} more)", names[0]]
        )
        for name, following in zip(names, [*names[1:], names[0]], strict=True):
            if name not in self.steps:
                text = next(text for text in self._unmet[name] if following in self._market.options(name, text))
                what = f"Plugin {name!r} is part of the cycle of requirements {' -> '.join(shown)}"
                self.steps[name] = Step(name, text, Cause.CYCLE, names, what)


def _shortest(start: str, graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names on a shortest way from a name back to itself, the name first."""
    came: dict[str, str] = {}
    todo = [start]
    at = 0
    while start not in came:  # breadth first
        for other in graph[todo[at]]:
            if other not in came:
                came[other] = todo[at]
                todo.append(other)
        at += 1
    way = [came[start]]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _named(names: Collection[str]) -> str:
    return f"plugin{'s' if len(names) > 1 else ''} {_few([repr(name) for name in names])}"


def _few(texts: list[str]) -> str:
    more = len(texts) - SHOWN
    return ", ".join(texts) if more <= 0 else f"{', '.join(texts[:SHOWN])} and {more} more"
