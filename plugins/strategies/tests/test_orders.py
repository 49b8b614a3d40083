"""In which order each strategy takes entities, one bag at a time."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from framework import Bag, ResourceClass
from framework.errors import InvalidRequestError
from plugin_strategies import BestFit, FirstFit, LeastConnections, Priority, ResourceBased, RoundRobin, TwoChoices

PLAIN = ResourceClass("t")
Filled = Callable[..., list[Any]]


def order(bag: Bag, count: int) -> list[str]:
    return [bag.pop().id for _ in range(count)]


def test_the_fits_rank_by_age_and_by_what_a_class_can_do() -> None:
    able, less = ResourceClass("t", {"x": 5, "y": 4}), ResourceClass("t", {"x": 6})
    assert FirstFit().rank(able) == FirstFit().rank(less)
    assert BestFit().rank(less) < BestFit().rank(able)


def test_round_robin_takes_whose_turn_was_longest_ago_whenever_it_came_back(filled: Filled) -> None:
    bag = RoundRobin().bag(PLAIN)
    one, two, three = filled(bag, 0, 0, 0)
    assert order(bag, 3) == ["e0", "e1", "e2"]
    for back in (two, three, one):
        bag.push(back)
    assert order(bag, 3) == ["e0", "e1", "e2"]


def test_round_robin_puts_the_class_first_whose_next_entity_waited_longest(filled: Filled) -> None:
    strategy = RoundRobin()
    first, second = strategy.bag(PLAIN), strategy.bag(ResourceClass("t", {"x": 1}))
    filled(first, 0, 0)
    filled(second, 0)
    turns = []
    for _ in range(9):
        bag = min((first, second), key=lambda one: one.key())
        turns.append((bag is first, one := bag.pop()))
        bag.push(one)
    assert turns[:3] == turns[3:6] == turns[6:]
    assert len({one for _, one in turns}) == 3


def test_round_robin_counts_a_turn_by_name(filled: Filled) -> None:
    strategy = RoundRobin()
    bag = strategy.bag(PLAIN)
    one, *_ = filled(bag, 0, 0, 0)
    bag.discard(one)
    bag.push(one)  # it has room for another task
    strategy.granted("task", [one])
    assert order(bag, 3) == ["e1", "e2", "e0"]


def test_round_robin_forgets_who_is_removed(filled: Filled) -> None:
    strategy = RoundRobin()
    bag = strategy.bag(PLAIN)
    one, *_ = filled(bag, 0, 0)
    assert bag.pop() is one
    strategy.removed(one)
    bag.push(one)
    assert bag.key() == 0


def test_least_connections_takes_the_fewest_holders_and_among_equals_the_longest_free(filled: Filled) -> None:
    bag = LeastConnections().bag(PLAIN)
    *_, last = filled(bag, 2, 0, 1, 0, 5)
    assert bag.key() == 0
    bag.discard(last)
    last.load = 0
    bag.push(last)
    assert order(bag, 3) == ["e1", "e3", "e4"]
    assert bag.key() == 1
    assert order(bag, 2) == ["e2", "e0"]


def test_least_connections_keeps_loads_within_one_of_each_other(filled: Filled) -> None:
    bag = LeastConnections().bag(PLAIN)
    members = filled(bag, *[0] * 7)
    for _ in range(500):
        one: Any = bag.pop()
        one.load += 1
        bag.push(one)
        loads = [each.load for each in members]
        assert max(loads) - min(loads) <= 1


def test_resource_based_takes_the_least_weighted_mean(filled: Filled) -> None:
    strategy = ResourceBased({"cpu": 3, "memory": 1})
    bag = strategy.bag(PLAIN)
    one, two, three = filled(bag, 0, 0, 0)
    for member, cpu, memory in ((one, 0.2, 0.8), (two, 0.4, 0.1), (three, 0.1, 0.9)):
        bag.discard(member)
        strategy.scored(member, {"cpu": cpu, "memory": memory, "temperature": 0})
        bag.push(member)
    assert bag.key() == pytest.approx(0.3)
    assert order(bag, 3) == ["e2", "e1", "e0"]


@pytest.mark.parametrize(("unscored", "place"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_an_unscored_entity_has_its_place(filled: Filled, unscored: float, place: int) -> None:
    strategy = ResourceBased(unscored=unscored)
    bag = strategy.bag(PLAIN)
    low, high, _ = filled(bag, 0, 0, 0)
    for member, share in ((low, 0.2), (high, 0.9)):
        bag.discard(member)
        strategy.scored(member, {"cpu": share, "memory": share})
        bag.push(member)
    assert order(bag, 3).index("e2") == place


def test_a_score_that_is_not_reported_stays_and_a_wrong_one_harms_nobody(filled: Filled) -> None:
    strategy = ResourceBased()
    one, *_ = filled(strategy.bag(PLAIN), 0)
    strategy.scored(one, {"cpu": 0.2})
    assert strategy.cost(one) == pytest.approx(0.35)
    strategy.scored(one, {"memory": 0.4})
    assert strategy.cost(one) == pytest.approx(0.3)
    wrong: Any = {"cpu": float("nan"), "memory": "high"}
    strategy.scored(one, wrong)
    assert strategy.cost(one) == pytest.approx(0.3)
    strategy.scored(one, {"cpu": 7.0, "memory": -1.0})
    assert strategy.cost(one) == pytest.approx(0.5)
    strategy.removed(one)
    assert strategy.cost(one) == 0.5


def test_equal_scores_are_told_apart_by_load(filled: Filled) -> None:
    bag = ResourceBased().bag(PLAIN)
    filled(bag, 2, 0, 1)
    assert order(bag, 3) == ["e1", "e2", "e0"]


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        ({}, "numbered"),
        ({"name": "tier", "values": {"gold": 10, "silver": 5}}, "golden"),
        ({"name": "tier", "values": {"silver": 5, "gold": 1}}, "silvern"),
        ({"by": "capability", "name": "x"}, "able"),
        ({"by": "capability", "name": "x", "values": {"9": -1, "1": 3}}, "golden"),
        ({"by": "type", "values": {"special": 1}}, "special"),
        ({"name": "absent", "default": 4}, "able"),
    ],
)
def test_priority_takes_the_highest(arguments: dict[str, Any], first: str) -> None:
    classes = {
        "able": ResourceClass("t", {"x": 9}),
        "golden": ResourceClass("t", {"x": 1}, {"tier": "gold"}),
        "silvern": ResourceClass("t", {}, {"tier": "silver", "priority": "high"}),
        "numbered": ResourceClass("t", {}, {"priority": "7.5"}),
        "special": ResourceClass("special", {}, {"priority": "-3"}),
    }
    strategy = Priority(**arguments)
    assert min(classes, key=lambda one: strategy.rank(classes[one])) == first


def test_priority_takes_what_is_no_number_for_the_default() -> None:
    strategy = Priority(default=2)
    for value in ("", "high", "nan", "inf", "-1e999"):
        assert strategy.rank(ResourceClass("t", {}, {"priority": value})) == -2


def test_two_choices_are_repeatable_by_seed(filled: Filled) -> None:
    def drawn(seed: int) -> list[str]:
        bag = TwoChoices(seed).bag(PLAIN)
        filled(bag, *[0] * 50)
        return order(bag, 50)

    assert drawn(1) == drawn(1) != drawn(2)
    assert sorted(drawn(1)) == sorted(f"e{number}" for number in range(50))


def test_two_choices_are_far_more_even_than_one(filled: Filled) -> None:
    """The fullest of n boxes with n balls: log n / log log n with one choice, log log n / log 2 with two."""

    def fullest(strategy: TwoChoices, *, compare: bool) -> int:
        bag = strategy.bag(PLAIN)
        members = filled(bag, *[0] * 2000)
        counts: Counter[str] = Counter()
        for _ in range(2000):
            one: Any = bag.pop()
            counts[one.id] += 1
            one.load += compare
            bag.push(one)
        assert len(members) == 2000
        return max(counts.values())

    two = [fullest(TwoChoices(seed), compare=True) for seed in range(5)]
    one = [fullest(TwoChoices(seed), compare=False) for seed in range(5)]
    assert max(two) <= 4
    assert statistics.mean(one) > max(two)


def test_two_choices_keep_to_what_they_said(filled: Filled) -> None:
    bag = TwoChoices(3).bag(PLAIN)
    filled(bag, *range(20))
    for _ in range(20):
        key = bag.key()
        assert bag.key() == key
        assert bag.pop().load == key


def test_arguments_are_refused_in_a_program_too() -> None:
    wrong: Any = "x"
    for make in (lambda: TwoChoices(wrong), lambda: ResourceBased(unscored=-1), lambda: Priority(by="colour")):
        with pytest.raises(InvalidRequestError):
            make()
