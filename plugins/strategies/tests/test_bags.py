"""The structures under the bags, against models of them that search."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from framework import ResourceClass
from plugin_strategies import RoundRobin
from plugin_strategies.heap import Heap
from plugin_strategies.load_bag import LoadBag

PLACES = st.integers(0, 11)


class Thing:
    def __init__(self, number: int) -> None:
        self.id = str(number)
        self.load = 0


class Machine(RuleBasedStateMachine):
    """Twelve entities; `model` holds the key of those inside, and when each came."""

    def __init__(self) -> None:
        super().__init__()
        self.things = [Thing(number) for number in range(12)]
        self.model: dict[Thing, tuple[Any, int]] = {}
        self.moment = 0

    def came(self, thing: Thing, key: Any) -> None:
        self.moment += 1
        self.model[thing] = key, self.moment

    def first(self) -> Thing:
        return min(self.model, key=lambda one: self.model[one])


class HeapMachine(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.heap = Heap()

    @rule(place=PLACES, key=st.integers(0, 3))
    def push_or_move(self, place: int, key: int) -> None:
        thing = self.things[place]
        if thing in self.model:
            self.heap.discard(thing)
        self.heap.push(thing, key)
        self.came(thing, key)

    @rule(place=PLACES)
    def discard(self, place: int) -> None:
        thing = self.things[place]
        if thing in self.model:
            self.heap.discard(thing)
            del self.model[thing]

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        first = self.first()
        assert self.heap.first() == (self.model[first][0], first)
        assert self.heap.pop() is first
        del self.model[first]

    @rule(place=PLACES, times=st.integers(50, 100))
    def churn(self, place: int, times: int) -> None:
        for _ in range(times):
            self.push_or_move(place, 3)

    @invariant()
    def it_is_not_much_longer_than_what_is_in_it(self) -> None:
        assert len(self.heap._heap) <= 2 * len(self.model) + 64


class LoadMachine(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.bag = LoadBag()

    @rule(place=PLACES, load=st.integers(0, 4))
    def change(self, place: int, load: int) -> None:
        thing = self.things[place]
        if thing in self.model:
            thing.load = load  # whether the pool changes it before the bag hears of it or after must not matter
            self.bag.discard(thing)
        thing.load = load
        self.bag.push(thing)
        self.came(thing, load)

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        first = self.first()
        assert self.bag.key() == first.load
        assert self.bag.pop() is first
        del self.model[first]

    @invariant()
    def it_has_a_bucket_for_each_load_at_most_once(self) -> None:
        assert sorted(self.bag._loads) == sorted(self.bag._buckets)


class TurnMachine(Machine):
    """Round robin over two classes, one entity of which may be given several times."""

    def __init__(self) -> None:
        super().__init__()
        self.strategy = RoundRobin()
        self.bags = [self.strategy.bag(ResourceClass(name)) for name in ("a", "b")]
        self.turns = dict.fromkeys(self.things, 0)
        self.inside: list[list[Thing]] = [[], []]

    def bag_of(self, place: int) -> int:
        return place % 2

    @rule(place=PLACES)
    def push(self, place: int) -> None:
        thing, number = self.things[place], self.bag_of(place)
        if thing not in self.inside[number]:
            self.bags[number].push(thing)
            self.inside[number].append(thing)

    @precondition(lambda self: any(self.inside))
    @rule()
    def take(self) -> None:
        """Whoever is taken of the better class had its turn before everybody else."""
        number = min((one for one in (0, 1) if self.inside[one]), key=lambda one: self.bags[one].key())
        thing: Any = self.bags[number].pop()
        self.inside[number].remove(thing)
        assert all(self.turns[thing] <= self.turns[other] for each in self.inside for other in each)
        self.had_turn(thing)

    @rule(place=PLACES)
    def take_by_name(self, place: int) -> None:
        self.had_turn(self.things[place])

    def had_turn(self, thing: Thing) -> None:
        self.moment += 1
        self.turns[thing] = self.moment
        self.strategy.granted("task", [thing])


TestHeap = HeapMachine.TestCase
TestLoads = LoadMachine.TestCase
TestTurns = TurnMachine.TestCase
