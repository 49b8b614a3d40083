"""Who can start: grown from those that require nothing, so that the result is the greatest possible.

A plugin is startable when each of its requirements is met by one that is startable already. That is the algorithm of
Dowling and Gallier for Horn formulae ("Linear-time algorithms for testing the satisfiability of propositional Horn
formulae", J. Logic Programming 1(3), 1984): each requirement is looked at once for each plugin that meets it.
"""

from __future__ import annotations

from collections.abc import Collection

from framework.resolver.market import Market, fault

Levels = dict[str, int]
"""For each plugin that can start, the round in which it became startable."""


_Key = tuple[str, str]
"""A requirement, and the plugin that has it where it matters who asks: one with conflicts cannot use every plugin."""


class Growth:
    """Grows the set of those that can start, as often as somebody else has to stay out."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._users: dict[_Key, list[str]] = {}
        self._serves: dict[str, list[_Key]] = {}
        self._lacking: dict[str, int] = {}
        self._malformed = {
            name for name, one in market.candidates.items() if one.conflicts and any(map(fault, one.conflicts))
        }
        for name, one in market.candidates.items():
            wanted = {(name if name in market.enemies else "", text) for text in one.requires}
            self._lacking[name] = len(wanted)
            for key in wanted:
                if key not in self._users:
                    # itself does no harm here: it cannot start before the requirement is met
                    for option in market.others(*key):
                        self._serves.setdefault(option, []).append(key)
                self._users.setdefault(key, []).append(name)

    def settle(self) -> tuple[Levels, set[str]]:
        """Return who can start, and who stays out because of a conflict.

        A conflict counts when both have all that they require. Whether they have may depend on other conflicts, so
        those are decided first: bounds from below and from above close in on who certainly, and who possibly, has. What
        is left in between depends on itself, and counts. (The alternating fixpoint of van Gelder, JCSS 47(1), 1993.)
        """
        certain: set[str] = set()
        while True:
            possible = self._grow(self._conflicting(certain))[1]
            out = self._conflicting(possible)
            levels, closer = self._grow(out)
            if closer == certain:
                return levels, out
            certain = closer

    def _conflicting(self, ready: Collection[str]) -> set[str]:
        """Return who conflicts with another, among those that have all that they require."""
        candidates = self._market.candidates
        return {
            name
            for name, enemies in self._market.enemies.items()
            if name in ready and not candidates[name].settled and not enemies.isdisjoint(ready)
        }

    def _grow(self, out: Collection[str]) -> tuple[Levels, set[str]]:
        """Return who can start while some stay out, and who has all that it requires."""
        lacking = dict(self._lacking)
        fed = [name for name, count in lacking.items() if not count and name not in self._malformed]
        ready: set[str] = set()
        levels: Levels = {}
        met: set[_Key] = set()
        level = 0
        while fed:
            ready.update(fed)
            starting = [name for name in fed if name not in out]
            levels |= dict.fromkeys(starting, level)
            fed = []
            for key in (one for name in starting for one in self._serves.get(name, ()) if one not in met):
                met.add(key)
                for user in self._users[key]:
                    lacking[user] -= 1
                    if not lacking[user] and user not in self._malformed:
                        fed.append(user)
            level += 1
        return levels, ready
