"""`Bags`: what must hold where a strategy keeps the entities of each class in a bag; part of `StrategyContract`.

What happens in a pool is made up from seeds, so that a failure can be repeated. Costs are operations, not seconds.
"""

from __future__ import annotations

import gc
import math
import tracemalloc
import weakref
from collections.abc import Mapping
from typing import ClassVar

import pytest

from framework.protocols import AllocationStrategy
from framework.records import ResourceClass
from framework.testing.turnover import Turnover, median

_STORIES = 20
_STEPS = 200
_CHURN = 20_000
_ENOUGH = 4
"""After more calls than these, and most of them, beyond the limit no more are counted."""
_LEAST_LEAK = 250_000
"""Bytes: a reference that is kept at each step takes 160,000, what it leads to several times as much."""


class Bags:
    """The tests are skipped where a strategy has no bags."""

    growth: ClassVar[float] = 3.0
    """How many times as much a call may cost with 100,000 entities as with 100; 5 suits a heap written in Python."""
    remembers: ClassVar[int] = 1000
    """So many tasks or keys a strategy may remember that hold nothing any more."""

    @pytest.fixture
    def bagged(self, strategy: AllocationStrategy) -> AllocationStrategy:
        """The strategy, if it has bags."""
        if not hasattr(strategy, "bag"):
            pytest.skip("it keeps entities in no order of its own")
        return strategy

    @pytest.mark.parametrize("capacity", [1, 3])
    def test_a_bag_gives_each_entity_once(
        self, bagged: AllocationStrategy, classes: list[ResourceClass], capacity: int
    ) -> None:
        """Whatever happens, it gives what is in it, each entity once, and loses none."""
        for seed in range(_STORIES):
            story = Turnover(bagged, classes[seed % len(classes)], 1 + seed, capacity=capacity, seed=seed)
            for _ in range(_STEPS):
                story.step()
            story.drain()

    def test_a_key_is_a_finite_number(self, bagged: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """The next entity of one class can be compared with that of every other, and asking changes nothing."""
        story = Turnover(bagged, classes[0], 10, capacity=3)
        for _ in range(_STEPS):
            if story.inside:
                key = story.bag.key()
                assert isinstance(key, int | float)
                assert math.isfinite(key)
                assert story.bag.key() == key
            story.step()

    def test_two_pools_do_not_mix(self, bagged: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """One strategy serves two pools that have equal classes, and entities with equal names."""
        stories = [Turnover(bagged, classes[0], 10, capacity=2, seed=seed) for seed in (1, 2)]
        for _ in range(_STEPS):
            for story in stories:
                story.step()
        for story in stories:
            story.drain()

    def test_a_bag_costs_no_more_with_many(self, bagged: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """With 100,000 entities each call takes at most `growth` times as many operations as with 100."""
        few = _costs(bagged, classes[0], 100, {})
        many = _costs(bagged, classes[0], 100_000, {what: self.growth * cost for what, cost in few.items()})
        grown = {what: (few[what], cost) for what, cost in many.items() if cost > self.growth * few.get(what, cost)}
        assert grown == {}, "operations by call, with 100 and with 100,000 entities"

    def test_churn_leaves_nothing(self, bagged: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """What came and went leaves nothing behind: no entry that is out of date, no entity, no task."""
        story = Turnover(bagged, classes[0], 20, capacity=3)
        traced = tracemalloc.is_tracing()
        tracemalloc.start()
        try:
            before = _held(story, 10 * self.remembers)
            assert _held(story, _CHURN) - before < _LEAST_LEAK
        finally:
            if not traced:
                tracemalloc.stop()

    def test_what_is_removed_is_forgotten(self, bagged: AllocationStrategy, classes: list[ResourceClass]) -> None:
        """Of a thousand entities that are gone for good it keeps a hundred at most."""
        story = Turnover(bagged, classes[0], 1000)
        seen = [weakref.ref(one) for one in story.inside]
        for _ in range(10 * _STEPS):
            story.step()
        story.drain()
        bag = story.bag
        del story
        gc.collect()
        assert sum(one() is not None for one in seen) <= 100, bag


def _costs(
    strategy: AllocationStrategy, resource_class: ResourceClass, size: int, limits: Mapping[str, float]
) -> dict[str, int]:
    """Return what calls cost; it gives up once one of them is clearly beyond its limit, because that takes long."""
    story = Turnover(strategy, resource_class, size, capacity=2)
    for _ in range(2 * _STEPS):
        story.step(counted=True)
        for what, limit in limits.items():
            costs = story.costs.get(what, [])
            if sum([cost > limit for cost in costs]) > max(len(costs) // 2, _ENOUGH):
                return median(story.costs)
    return median(story.costs)


def _held(story: Turnover, steps: int) -> int:
    """Return how many bytes are in use after so many steps."""
    for _ in range(steps):
        story.step()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
