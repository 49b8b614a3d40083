"""`Matching`: which demands take how many units from which groups; exact, so that no assignment is missed.

Demands on one side, groups with so much room on the other: a transportation problem without costs. A demand first takes
what is free, in the order of its groups. When that is not enough, a shortest augmenting path moves units of other
demands elsewhere (Ford and Fulkerson 1956; breadth first as by Edmonds and Karp 1972). What was placed once is moved
but never given up. Where no path is left, the demands reached need more than all their groups have: a set that violates
Hall's condition (1935), and of which no part does.
"""

from __future__ import annotations

from collections import deque
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
        """Room that is left, for each group that was looked at."""
        self.reached: tuple[int, ...] = ()
        """After `place` fell short: the fewest demands that together cannot be met."""
        self._room = room
        self._takers: dict[Group, set[int]] = {}

    def place(self, demand: int, units: int) -> int:
        """Place units of a demand, moving others if need be, and return how many found a place."""
        wanted = units
        known, room = self.left, self._room
        for group in self.choices[demand]:
            spare = known.get(group)
            if spare is None:
                spare = room(group)
            if spare:
                taken = min(spare, wanted)
                known[group] = spare - taken
                self._move(demand, group, taken)
                wanted -= taken
                if not wanted:
                    return units
        while wanted and (moved := self._augment(demand, wanted)):
            wanted -= moved
        return units - wanted

    def copy(self) -> Matching:
        """Return a matching that can be changed without changing this one."""
        made = Matching(self.choices, self._room)
        made.flows = [flow.copy() for flow in self.flows]
        made.left = self.left.copy()
        made._takers = {group: takers.copy() for group, takers in self._takers.items()}
        return made

    def spare(self, group: Group) -> int:
        """Return the room that is left in a group."""
        left = self.left.get(group)
        if left is None:
            left = self.left[group] = self._room(group)
        return left

    def _augment(self, demand: int, most: int) -> int:
        """Move units along one path that ends where there is room, and return how many."""
        seen: dict[Group, int] = {}  # the demand that would take from a group
        gives: dict[int, Group | None] = {demand: None}  # the group that a demand would take less from
        queue = deque([demand])
        while queue:
            one = queue.popleft()
            for group in self.choices[one]:
                if group in seen:
                    continue
                seen[group] = one
                if self.spare(group):
                    return self._shift(group, seen, gives, most)
                for other in self._takers.get(group, ()):
                    if other not in gives:
                        gives[other] = group
                        queue.append(other)
        self.reached = tuple(sorted(gives))
        return 0

    def _shift(self, end: Group, seen: dict[Group, int], gives: dict[int, Group | None], most: int) -> int:
        steps: list[tuple[int, Group, Group | None]] = []
        units, group = min(most, self.left[end]), end
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
        self.left[end] -= units
        return units

    def _move(self, demand: int, group: Group, units: int) -> None:
        flow = self.flows[demand]
        now = flow.get(group, 0) + units
        if now:
            flow[group] = now
            self._takers.setdefault(group, set()).add(demand)
        else:
            del flow[group]
            self._takers[group].discard(demand)
