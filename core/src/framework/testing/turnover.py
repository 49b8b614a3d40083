"""`Turnover`: hands out the entities of one class and takes them back, as a pool does with a strategy."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from framework.protocols import AllocationStrategy, Bag
from framework.records import ResourceClass
from framework.testing.operations import CountedMember, Operations


class Turnover:
    """A bag of a strategy, and what must be in it; each call is counted.

    Args:
        strategy: The strategy, which has the method `bag`.
        resource_class: What the entities are like.
        size: So many entities there are.
        capacity: So many tasks may hold an entity.
        seed: Decides what happens.
    """

    def __init__(
        self,
        strategy: AllocationStrategy,
        resource_class: ResourceClass,
        size: int,
        *,
        capacity: int = 1,
        seed: int = 0,
    ) -> None:
        self.operations = Operations()
        self._strategy = strategy
        self.bag = bag_of(strategy, resource_class)
        self.costs: dict[str, list[int]] = {}
        """How many operations each call took, by what was called."""
        self._capacity = capacity
        self._random = random.Random(seed)  # noqa: S311 - it makes up a story
        self.inside: set[CountedMember] = set()
        self._out_of_service: set[CountedMember] = set()
        self._held: list[tuple[str, CountedMember]] = []
        self._tasks = self._numbers = 0
        self._everybody: list[CountedMember] = []
        for _ in range(size):
            self._everybody.append(self._made())
            self.bag.push(self._everybody[-1])

    def step(self, *, counted: bool = False) -> None:
        """Do something that happens in a pool: give, take back, measure, put out of service and back, replace."""
        actions = [
            self.take,
            self.give_back,
            self.take,
            self.give_back,
            self.name,
            self.score,
            self.service,
            self.replace,
        ]
        action = self._random.choice(actions)
        action(counted=counted)

    def take(self, *, counted: bool = False) -> None:
        """Give the next entity to a task."""
        if not self.inside:
            return
        key = self._call("key", self.bag.key, counted=counted)
        assert isinstance(key, int | float) and math.isfinite(key), f"the key is {key!r}"
        member = self._call("pop", self.bag.pop, counted=counted)
        assert member in self.inside, f"{member!r} was given, which was not in the bag"
        self.inside.remove(member)
        self._hold(member, counted=counted)

    def name(self, *, counted: bool = False) -> None:
        """Give some entity to a task that names it."""
        member = self._random.choice(self._everybody)
        if member in self.inside:
            self._discard(member, counted=counted)
            self._hold(member, counted=counted)

    def give_back(self, *, counted: bool = False) -> None:
        """Let some task give back what it holds."""
        if not self._held:
            return
        place = self._random.randrange(len(self._held))
        self._held[place], self._held[-1] = self._held[-1], self._held[place]
        task, member = self._held.pop()
        if member in self.inside:
            self._discard(member, counted=counted)
        member.change(-1)
        if member not in self._out_of_service:
            self._push(member, counted=counted)
        self._tell("released", task, [member], counted=counted)

    def score(self, *, counted: bool = False) -> None:
        """Report a measurement of some entity."""
        member = self._random.choice(self._everybody)
        inside = member in self.inside
        if inside:
            self._discard(member, counted=counted)
        scores = {"cpu": self._random.random(), "memory": self._random.random()}
        self._tell("scored", member, scores, counted=counted)
        if inside:
            self._push(member, counted=counted)

    def service(self, *, counted: bool = False) -> None:
        """Put some entity out of service, or back."""
        member = self._random.choice(self._everybody)
        if member in self._out_of_service:
            self._out_of_service.remove(member)
            if member.load < self._capacity:
                self._push(member, counted=counted)
        else:
            self._out_of_service.add(member)
            if member in self.inside:
                self._discard(member, counted=counted)

    def replace(self, *, counted: bool = False) -> None:
        """Remove some entity that nobody holds, and add another."""
        place = self._random.randrange(len(self._everybody))
        member = self._everybody[place]
        if member.load:
            return
        if member in self.inside:
            self._discard(member, counted=counted)
        self._out_of_service.discard(member)
        self._tell("removed", member, counted=counted)
        self._everybody[place] = self._made()
        self._call("push", lambda: self.bag.push(self._everybody[place]), counted=counted)

    def drain(self) -> None:
        """Take everything out of the bag, and let the entities be removed."""
        while self.inside:
            member: Any = self.bag.pop()
            assert member in self.inside, f"{member!r} was given, which was not in the bag"
            self.inside.remove(member)
        for _, member in self._held:
            member.change(-1)
        for task, member in self._held:
            self._tell("released", task, [member], counted=False)
        for member in self._everybody:
            self._tell("removed", member, counted=False)

    def _made(self) -> CountedMember:
        self._numbers += 1
        made = CountedMember(f"entity-{self._numbers}", self.operations)
        self.inside.add(made)
        return made

    def _hold(self, member: CountedMember, *, counted: bool) -> None:
        task = f"job-{self._tasks}/part"
        self._tasks += 1
        self._tell("hint", task, counted=counted)
        member.change(1)
        self._held.append((task, member))
        early = self._random.random() < 0.5  # a pool may tell before or after it has put away what has room still
        if early:
            self._tell("granted", task, [member], counted=counted)
        if member.load < self._capacity:
            self._push(member, counted=counted)
        if not early:
            self._tell("granted", task, [member], counted=counted)

    def _push(self, member: CountedMember, *, counted: bool) -> None:
        self._call("push", lambda: self.bag.push(member), counted=counted)
        self.inside.add(member)

    def _discard(self, member: CountedMember, *, counted: bool) -> None:
        self._call("discard", lambda: self.bag.discard(member), counted=counted)
        self.inside.remove(member)

    def _tell(self, what: str, *arguments: object, counted: bool) -> None:
        """Call a method of the strategy, if it has that."""
        method = getattr(self._strategy, what, None)
        if method is not None:
            self._call(what, lambda: method(*arguments), counted=counted)

    def _call(self, what: str, call: Callable[[], Any], *, counted: bool) -> Any:
        if not counted:
            return call()
        found = []
        cost = self.operations.of(lambda: found.append(call()))
        self.costs.setdefault(what, []).append(cost)
        return found[0]


def bag_of(strategy: Any, resource_class: ResourceClass) -> Bag:
    """Return a bag of a strategy, which must have the method `bag`, as not every one does."""
    bag: Bag = strategy.bag(resource_class)
    return bag


def median(costs: Mapping[str, list[int]]) -> dict[str, int]:
    """Return the middle one of the costs of each call: what is rare, such as making a list anew, does not count."""
    return {what: sorted(all_of)[len(all_of) // 2] for what, all_of in costs.items()}
