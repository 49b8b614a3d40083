"""Given tasks to given entities: rules, stickiness, anti-affinity, spread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from framework import Hint, ResourceClass
from plugin_strategies import Affinity, Rule

Filled = Callable[..., list[Any]]


def zone(name: str, **levels: int) -> ResourceClass:
    return ResourceClass("t", levels, {"zone": name} if name else {})


def test_the_first_rule_that_matches_applies() -> None:
    strategy = Affinity(
        rules=[
            {"tasks": "billing-*", "prefer": ["e1", "e2"], "near": {"zone": "a"}},
            Rule("b*", avoid={"zone": frozenset(["b", "c"])}),
            {"tasks": "Audit", "prefer": "e3"},
        ]
    )
    assert strategy.hint("billing-7") == Hint(prefer=("e1", "e2"), near={"zone": "a"})
    assert strategy.hint("backup") == Hint(avoid={"zone": frozenset(["b", "c"])})
    assert strategy.hint("Audit") == Hint(prefer=("e3",))
    assert strategy.hint("audit") is None
    assert strategy.hint("a\nbilling-7") is None


def test_without_spread_the_least_able_class_comes_first() -> None:
    assert Affinity().rank(zone("a", x=2)) < Affinity().rank(zone("b", x=3))
    assert Affinity(spread="zone").rank(zone("a", x=2)) == Affinity(spread="zone").rank(zone("b", x=3))


def test_tasks_of_one_key_stick_to_who_served_last(filled: Filled) -> None:
    strategy = Affinity(sticky=True, rules=[{"tasks": "vip*", "prefer": ["e9"]}])
    one, two, three = filled(strategy.bag(zone("a")), 0, 0, 0)
    assert strategy.hint("customer-7/invoice") is None
    strategy.granted("customer-7/invoice", [one])
    strategy.granted("vip-1", [two, three])
    assert strategy.hint("customer-7/letter/draft") == Hint(prefer=("e0",))
    assert strategy.hint("customer-70/letter") is None
    assert strategy.hint("vip-1") == Hint(prefer=("e9", "e1", "e2"))
    strategy.released("customer-7/invoice", [one])
    strategy.granted("customer-7", [two])
    assert strategy.hint("customer-7/invoice") == Hint(prefer=("e1",))


def test_it_remembers_so_many_keys_and_forgets_the_one_not_used_for_longest(filled: Filled) -> None:
    strategy = Affinity(sticky=True, separator=":", remember=2)
    [one] = filled(strategy.bag(zone("a")), 0)
    for task in ("a:1", "b:1", "a:2", "c:1"):
        strategy.granted(task, [one])
    assert [strategy.hint(f"{key}:9") is not None for key in "abc"] == [True, False, True]


def test_of_many_entities_of_one_task_a_few_are_remembered(filled: Filled) -> None:
    strategy = Affinity(sticky=True)
    members = filled(strategy.bag(zone("a")), *[0] * 1000)
    strategy.granted("gang/1", members)
    hint = strategy.hint("gang/2")
    assert hint is not None
    assert hint.prefer == tuple(f"e{number}" for number in range(16))


def test_tasks_of_one_key_avoid_what_others_of_it_hold(filled: Filled) -> None:
    rules = [{"tasks": "job-9*", "avoid": {"zone": ["c"], "disk": "slow"}}]
    strategy = Affinity(anti_affinity="zone", rules=rules)
    (a,) = filled(strategy.bag(zone("a")), 0)
    (b,) = filled(strategy.bag(zone("b")), 0)
    (nowhere,) = filled(strategy.bag(zone("")), 0)
    strategy.granted("job-1/x", [a, nowhere])
    strategy.granted("job-1/y", [b])
    strategy.granted("job-9/x", [b])
    assert strategy.hint("job-1/z") == Hint(avoid={"zone": frozenset("ab")})
    assert strategy.hint("job-2/z") is None
    assert strategy.hint("job-9/y") == Hint(avoid={"zone": frozenset("bc"), "disk": frozenset(["slow"])})
    strategy.released("job-1/x", [a, nowhere])
    assert strategy.hint("job-1/z") == Hint(avoid={"zone": frozenset("b")})
    strategy.released("job-1/y", [b])
    assert strategy.hint("job-1/z") is None
    assert strategy._held.keys() == {"job-9"}


def test_a_value_is_avoided_until_the_last_of_its_holders_is_gone(filled: Filled) -> None:
    strategy = Affinity(anti_affinity="zone")
    one, two = filled(strategy.bag(zone("a")), 0, 0)
    strategy.granted("job/1", [one])
    strategy.granted("job/2", [two])
    strategy.released("job/1", [one])
    assert strategy.hint("job/3") == Hint(avoid={"zone": frozenset("a")})


def test_load_spreads_over_zones_of_different_sizes_and_abilities(filled: Filled) -> None:
    strategy = Affinity(spread="zone")
    bags = {
        one.labels.get("zone", ""): strategy.bag(one) for one in (zone("a", x=1), zone("b", x=9), zone("c"), zone(""))
    }
    for number, bag in enumerate(bags.values()):
        filled(bag, *[0] * (10 * number + 10))
    counts = dict.fromkeys(bags, 0)
    for number in range(40):
        name = min(bags, key=lambda one: bags[one].key())
        strategy.granted(f"task-{number}", [bags[name].pop()])
        counts[name] += 1
    assert counts == {"a": 10, "b": 10, "c": 10, "": 10}


def test_two_classes_of_one_zone_count_together_and_releases_count_too(filled: Filled) -> None:
    strategy = Affinity(spread="zone")
    first, second, other = (strategy.bag(one) for one in (zone("a", x=1), zone("a", x=2), zone("b")))
    for bag in (first, second, other):
        filled(bag, 0, 0)
    one, two = first.pop(), second.pop()
    strategy.granted("t1", [one, two])
    assert [first.key(), second.key(), other.key()] == [2, 2, 0]
    strategy.released("t1", [one])
    assert [first.key(), second.key(), other.key()] == [1, 1, 0]


def test_what_is_removed_is_forgotten(filled: Filled) -> None:
    strategy = Affinity(spread="zone")
    bag = strategy.bag(zone("a"))
    one, *_ = filled(bag, 0, 0)
    bag.discard(one)
    strategy.removed(one)
    assert one not in strategy._labels


def test_pools_of_several_threads_may_share_one(filled: Filled) -> None:
    strategy = Affinity(spread="zone", anti_affinity="zone")
    bags = [strategy.bag(zone("a")) for _ in range(4)]
    members = [filled(bag, *[0] * 10) for bag in bags]

    def work(number: int) -> None:
        for _ in range(2000):
            strategy.granted(f"job/{number}", members[number])
            strategy.hint("job/x")
            strategy.released(f"job/{number}", members[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert bags[0].key() == 0
    assert strategy.hint("job/x") is None
