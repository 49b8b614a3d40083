"""`StrategyContract`: what every allocation strategy must do, as a pytest class to subclass.

A strategy ranks one class at a time and never sees a list of candidates, so that its cost cannot grow with the pool.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from framework.protocols import AllocationStrategy, Hint
from framework.records import ResourceClass
from framework.testing.operations import CountedMember, Operations
from framework.testing.strategy_bag import Bags
from framework.testing.surroundings import Surroundings
from framework.testing.turnover import bag_of

MANY = 5000
"""So many classes are ranked and so many tasks served before it is counted whether that takes more operations."""

ODD = (
    ResourceClass(""),
    ResourceClass("x" * 10_000, {"": 1}, {"": ""}),
    ResourceClass("bücherei\n", {"a b": 10}, {"priority": "", "zone": "\x00"}),
    ResourceClass("plain", {}, {"priority": "nan", "weight": "1e999", "cost": "-", "zone": "½"}),
    ResourceClass("plain", {f"skill-{one}": 1 + one % 10 for one in range(1000)}),
)
ODD_TASKS = ("task", "", "/", "a/b", "a/b/c", "bücherei\n", "[", "*", "x" * 10_000)

BESIDES: dict[str, tuple[object, ...]] = {
    "bag": (ResourceClass("plain"),),
    "hint": ("task",),
    "granted": ("task", ()),
    "released": ("task", ()),
    "scored": (CountedMember("one", Operations()), {"cpu": 0.5}),
    "removed": (CountedMember("one", Operations()),),
}
"""The methods that a strategy may have, and what a pool calls them with."""


class StrategyContract(Bags, Surroundings):
    """Subclass it, and give a strategy; give classes of your own where it needs certain capabilities."""

    @pytest.fixture
    def strategy(self) -> AllocationStrategy:
        """The strategy; override it."""
        pytest.fail(f"{type(self).__name__} gives no strategy; override the fixture `strategy`.")

    @pytest.fixture
    def classes(self) -> list[ResourceClass]:
        """Classes that the strategy must be able to rank, all different."""
        return [
            ResourceClass("plain"),
            ResourceClass("machine", {"cpu": 4, "memory": 7}, {"zone": "a"}),
            ResourceClass("machine", {"cpu": 10, "memory": 10}, {"zone": "b"}),
            ResourceClass("printer", {"colour": 1}),
        ]

    def test_it_has_the_shape_of_a_strategy(self, strategy: AllocationStrategy) -> None:
        """It has a name and the method `rank`."""
        assert isinstance(strategy, AllocationStrategy)
        assert isinstance(strategy.name, str)
        assert strategy.name.strip()

    def test_it_takes_one_class_at_a_time(self, strategy: AllocationStrategy) -> None:
        """The method `rank` takes exactly one argument, and is no coroutine."""
        inspect.signature(strategy.rank).bind(ResourceClass("plain"))
        needed = [one for one in inspect.signature(strategy.rank).parameters.values() if one.default is one.empty]
        assert len(needed) == 1
        assert needed[0].kind is not inspect.Parameter.VAR_POSITIONAL
        assert not inspect.iscoroutinefunction(strategy.rank)

    def test_what_it_has_besides_can_be_called(self, strategy: AllocationStrategy) -> None:
        """The methods that it need not have take what a pool calls them with, and are no coroutines."""
        for name, arguments in BESIDES.items():
            method = getattr(strategy, name, None)
            if method is not None:
                inspect.signature(method).bind(*arguments)
                assert not inspect.iscoroutinefunction(method), name

    def test_a_rank_is_a_finite_number(self, strategy: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """Every class has a rank that can be compared with every other."""
        for one in classes:
            _check_rank(strategy, one)

    def test_an_odd_class_has_a_rank_too(self, strategy: AllocationStrategy) -> None:
        """Also a class that nobody expected is ranked: other words, no numbers where numbers were expected."""
        for one in ODD:
            _check_rank(strategy, one)

    def test_a_rank_depends_on_the_class_alone(
        self, strategy: AllocationStrategy, classes: list[ResourceClass]
    ) -> None:
        """Asked again, in another order, or for an equal class, the answer is the same."""
        first = [strategy.rank(one) for one in classes]
        assert [strategy.rank(one) for one in reversed(classes)] == first[::-1]
        assert [strategy.rank(copy.deepcopy(one)) for one in classes] == first

    def test_ranking_changes_no_class(self, strategy: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """A class is as it was after it has been ranked."""
        before = copy.deepcopy(classes)
        for one in classes:
            strategy.rank(one)
        assert classes == before

    def test_a_hint_is_one(self, strategy: AllocationStrategy) -> None:
        """Whatever a task is called, the answer is `None`, or a `Hint` of names, labels and values of labels."""
        for task in ODD_TASKS:
            hint = _hint(strategy)(task)
            if hint is not None:
                assert isinstance(hint, Hint), task
                assert all(isinstance(one, str) for one in hint.prefer), task
                assert all(isinstance(one, str) for pair in hint.near.items() for one in pair), task
                assert all(isinstance(one, str) for values in hint.avoid.values() for one in values), task

    def test_its_cost_does_not_grow(self, strategy: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """Ranking a class, and serving a task, take no more operations after thousands of others."""
        one = classes[-1]
        others = [replace(one, labels={**one.labels, "number": str(number)}) for number in range(MANY)]
        _check_growth(lambda number: strategy.rank(one if number is None else others[number]), self.growth)
        members = [CountedMember(f"entity-{number}", Operations()) for number in range(MANY)]
        if hasattr(strategy, "bag"):
            bag = bag_of(strategy, one)
            for member in members:
                bag.push(member)
        hint, granted = _hint(strategy), getattr(strategy, "granted", lambda *_: None)
        _check_growth(lambda number: hint("some" if number is None else f"job-{number}"), self.growth)
        _check_growth(lambda number: granted(f"job-{number}", [members[number or 0]]), self.growth)
        _check_growth(lambda number: hint("some" if number is None else f"job-{number}"), self.growth)


def _check_rank(strategy: AllocationStrategy, one: ResourceClass) -> None:
    rank = strategy.rank(one)
    assert isinstance(rank, (int, float))
    assert not isinstance(rank, bool), one
    assert math.isfinite(rank), one


def _hint(strategy: AllocationStrategy) -> Callable[[str], Any]:
    found: Callable[[str], Any] = getattr(strategy, "hint", lambda _: None)
    return found


def _check_growth(call: Callable[[int | None], object], growth: float) -> None:
    """Count a call before and after many others."""
    operations = Operations()
    _, early = [operations.of(lambda: call(None)) for _ in range(2)]
    for number in range(MANY):
        call(number)
    late = operations.of(lambda: call(None))
    assert late <= growth * early, "operations of one call, at first and after thousands of others"
