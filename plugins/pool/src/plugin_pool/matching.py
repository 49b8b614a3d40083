"""`Matching`: which demands take how many units from which groups; exact, so that no assignment is missed.

Demands on one side, groups with so much room on the other: a transportation problem without costs. A demand first takes
what is free, in the order of its groups. When that is not enough, a shortest augmenting path moves units of other
demands elsewhere (Ford and Fulkerson 1956; breadth first as by Edmonds and Karp 1972). What was placed once is moved
but never given up. Where no path is left, the demands reached need more than all their groups have: a set that violates
Hall's condition (1935), and of which no part does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plugin_pool.group import Group


class Matching:
    """Units of demands placed in groups.

    Args:
        choices: For each demand the groups that fit, best first.
        room: How many units a group has room for.
    """

    __slots__ = ("_room", "_takers", "choices", "flows", "left", "reached")

    def __init__(self, choices: Sequence[Sequence[Group]], room: Callable[[Group], int]) -> None:
        self.choices = choices
        self.flows: list[dict[Group, int]] = [{} for _ in choices]
        self.left: dict[Group, int] = {}
        """Room that is left, for each group of which something was placed."""
        self.reached: tuple[int, ...] = ()
        """After `place` fell short: the fewest demands that together cannot be met."""
        self._room = room
        self._takers: dict[Group, set[int]] | None = None
        """The demands that take of a group; made when something is to be moved for the first time."""

    def place(self, demand: int, units: int) -> int:
        """Place units of a demand, once, moving others if need be, and return how many found a place."""
        wanted, left, room, flow = units, self.left, self._room, self.flows[demand]
        for group in self.choices[demand]:
            spare = left[group] if group in left else room(group)
            if spare >= wanted:
                left[group], flow[group] = spare - wanted, wanted
                wanted = 0
                break
            if spare:
                left[group], flow[group] = 0, spare
                wanted -= spare
        if flow and self._takers is not None:
            for group in flow:
                self._takers.setdefault(group, set()).add(demand)
        while wanted and (moved := self._augment(demand, wanted)):
            wanted -= moved
        return units - wanted

    def copy(self) -> Matching:
        """Return a matching that can be changed without changing this one."""
        made = Matching(self.choices, self._room)
        made.flows = [flow.copy() for flow in self.flows]
        made.left = self.left.copy()
        return made

    def spare(self, group: Group) -> int:
        """Return the room that is left in a group."""
        return self.left[group] if group in self.left else self._room(group)

    def _augment(self, demand: int, most: int) -> int:
        """Move units along one path that ends where there is room, and return how many."""
        if self._takers is None:
            self._takers = self._find_takers()
        takers = self._takers
        left, seen = self.left, {}  # by group: the demand that would take from it
        gives: dict[int, Group | None] = {demand: None}  # the group that a demand would take less from
        queue = [demand]
        looked: Sequence[Group] = ()
        for one in queue:
            if self.choices[one] == looked:  # those that fit the same often follow each other
                continue
            looked = self.choices[one]
            for group in looked:
                if group in seen:
                    continue
                seen[group] = one
                if left[group] if group in left else self._room(group):
                    return self._shift(group, seen, gives, most)
                for other in takers.get(group, ()):
                    if other not in gives:
                        gives[other] = group
                        queue.append(other)
        self.reached = tuple(sorted(gives))
        return 0

    def _find_takers(self) -> dict[Group, set[int]]:
        takers: dict[Group, set[int]] = {}
        for number, flow in enumerate(self.flows):
            for group in flow:
                if group in takers:
                    takers[group].add(number)
                else:
                    takers[group] = {number}
        return takers

    def _shift(self, end: Group, seen: dict[Group, int], gives: dict[int, Group | None], most: int) -> int:
        steps: list[tuple[int, Group, Group | None]] = []
        units, group = min(most, self.spare(end)), end
        while True:
            demand = seen[group]
            less = gives[demand]
            steps.append((demand, group, less))
            if less is None:
                break
            units = min(units, self.flows[demand][less])
            group = less
        for demand, more, less in steps:
            if less is not None:
                self._move(demand, less, -units)
            self._move(demand, more, units)
        self.left[end] = self.spare(end) - units
        return units

    def _move(self, demand: int, group: Group, units: int) -> None:
        flow, takers = self.flows[demand], self._takers
        now = flow.get(group, 0) + units
        if now:
            flow[group] = now
            if takers is not None:
                takers.setdefault(group, set()).add(demand)
            return
        del flow[group]
        if takers is not None:
            takers[group].discard(demand)
