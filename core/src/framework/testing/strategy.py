"""`StrategyContract`: what every allocation strategy must do, as a pytest class to subclass.

A strategy ranks one class at a time and never sees a list of candidates, so that its cost cannot grow with the pool.
"""

from __future__ import annotations

import copy
import inspect
import math
import time
from dataclasses import replace

import pytest

from framework.protocols import AllocationStrategy
from framework.records import ResourceClass
from framework.testing.surroundings import Surroundings

MANY = 5000
"""So many classes are ranked before it is measured whether ranking has become slower."""


class StrategyContract(Surroundings):
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

    def test_a_rank_is_a_finite_number(self, strategy: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """Every class has a rank that can be compared with every other."""
        for one in classes:
            rank = strategy.rank(one)
            assert isinstance(rank, (int, float))
            assert not isinstance(rank, bool), one
            assert math.isfinite(rank), one

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

    def test_its_cost_does_not_grow(self, strategy: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """Ranking a class takes no longer after thousands of others have been ranked."""
        one = classes[-1]
        early = _best(strategy, one)
        for number in range(MANY):
            strategy.rank(replace(one, labels={**one.labels, "number": str(number)}))
        late = _best(strategy, one)
        assert late <= 5 * early + 20e-6


def _best(strategy: AllocationStrategy, one: ResourceClass) -> float:
    """Return the seconds of the fastest of many rankings, which noise cannot make slower."""
    best = float("inf")
    for _ in range(50):
        begin = time.perf_counter()
        strategy.rank(one)
        best = min(best, time.perf_counter() - begin)
    return best
