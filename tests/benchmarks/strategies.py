"""What a decision of each strategy of the plugin `strategies` costs with 100 and with 100,000 entities.

    python tests/benchmarks/strategies.py [--rounds 9] [--most 100000]

First in the bag alone: one entity is taken, the one that was taken longest ago comes back, half of them being in use;
for `resource_based` besides with a new score for one that is in the bag. Then in a pool, as the API is called with a
prepared request: one entity is allocated, the oldest allocation released. Against a function that is given a list of
all candidates and takes the least. The variants take turns within each round; figures are the minimum over rounds of
the mean processor time over a batch.
"""

import argparse
import gc
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from framework import ResourceClass
from plugin_pool import ResourcePool
from plugin_strategies import (
    Affinity,
    BestFit,
    FirstFit,
    LeastConnections,
    Priority,
    ResourceBased,
    RoundRobin,
    TwoChoices,
)

Call = Callable[[], object]
RULES = [{"tasks": "billing-*", "prefer": ["e1"]}]
STRATEGIES: dict[str, Callable[[], Any]] = {
    "first_fit": FirstFit,
    "best_fit": BestFit,
    "priority": Priority,
    "round_robin": RoundRobin,
    "least_connections": LeastConnections,
    "resource_based": ResourceBased,
    "two_choices": lambda: TwoChoices(seed=1),
    "affinity, rules": lambda: Affinity(rules=RULES),
    "affinity, sticky": lambda: Affinity(sticky=True),
    "affinity, spread": lambda: Affinity(spread="zone"),
}


class Entity:
    """What a bag sees of an entity."""

    __slots__ = ("id", "load")

    def __init__(self, number: int) -> None:
        self.id = f"e{number}"
        self.load = 0


def bag_alone(make: Callable[[], Any], size: int, *, scored: bool = False) -> Call:
    """Return a call that takes one entity, and brings one back."""
    strategy = make()
    rng = random.Random(1)
    bag = strategy.bag(ResourceClass("t", {}, {"zone": "a"}))
    entities = [Entity(number) for number in range(size)]
    for one in entities:
        bag.push(one)
        if scored:
            rescore(strategy, bag, one, rng.random())
    held = deque(bag.pop() for _ in range(size // 2))

    def call() -> None:
        held.append(bag.pop())
        bag.push(held.popleft())

    def call_scored() -> None:
        held.append(bag.pop())
        one = held.popleft()
        bag.push(one)
        rescore(strategy, bag, one, rng.random())

    return call_scored if scored else call


def rescore(strategy: Any, bag: Any, member: Entity, share: float) -> None:
    """Do what a pool does when a score is reported."""
    bag.discard(member)
    strategy.scored(member, {"cpu": share, "memory": share})
    bag.push(member)


def candidates(size: int) -> Call:
    """Return a call that takes the least of a list of all that are free, and brings one back."""
    free = {number: Entity(number) for number in range(size)}
    held = deque(free.pop(number) for number in range(size // 2))

    def choose(given: list[Entity]) -> Entity:
        return min(given, key=lambda one: one.load)

    def call() -> None:
        found = choose(list(free.values()))
        del free[int(found.id[1:])]
        held.append(found)
        back = held.popleft()
        free[int(back.id[1:])] = back

    return call


def in_a_pool(make: Callable[[], Any], size: int) -> Call:
    """Return a call that allocates for one task and releases the oldest; the entities are of ten classes."""
    pool = ResourcePool(strategy=make())
    for number in range(size):
        zone = {"zone": str(number % 10), "priority": str(number % 10)}
        pool.add_resource({"id": f"e{number}", "type": "t", "labels": zone})
    need = pool.prepare({"type": "t"})
    count = size // 2
    for number in range(count):
        pool.allocate_resources(f"job-{number % 50}/{number}", need)

    def call() -> None:
        nonlocal count
        pool.allocate_resources(f"job-{count % 50}/{count}", need)
        pool.release_resources(f"job-{(count - size // 2) % 50}/{count - size // 2}")
        count += 1

    return call


def best(variants: dict[str, tuple[Call, int]], rounds: int) -> dict[str, float]:
    """Return the seconds of one call by variant; each comes with the number of calls in a batch."""
    found = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, (call, batch) in variants.items():
            start = time.process_time()
            for _ in range(batch):
                call()
            found[name] = min(found[name], (time.process_time() - start) / batch)
    return found


def table(title: str, makers: dict[str, Callable[[int], Call]], sizes: tuple[int, int], rounds: int) -> None:
    """Measure variants at two sizes, and print what they cost."""
    few, many = sizes
    variants = {}
    for name, make in makers.items():
        for size in sizes:
            batch = max(5, 20_000 // size) if "list" in name else 5000
            variants[f"{name} {size}"] = (make(size), batch)
    gc.collect()
    gc.disable()
    found = best(variants, rounds)
    gc.enable()
    print(f"{title:40} {few:>12,} {many:>14,}   ratio")
    for name in makers:
        low, high = found[f"{name} {few}"], found[f"{name} {many}"]
        print(f"{name:40} {low * 1e6:9.2f} us {high * 1e6:11.2f} us {high / low:7.2f}")
    print()


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--most", type=int, default=100_000)
    options = parser.parse_args()
    sizes = 100, options.most

    def alone(make: Callable[[], Any], *, scored: bool = False) -> Callable[[int], Call]:
        return lambda size: bag_alone(make, size, scored=scored)

    def pooled(make: Callable[[], Any]) -> Callable[[int], Call]:
        return lambda size: in_a_pool(make, size)

    makers = {name: alone(make) for name, make in STRATEGIES.items() if hasattr(make(), "bag")}
    makers["resource_based, one scored"] = alone(ResourceBased, scored=True)
    makers["a list of candidates, the least"] = candidates
    table("in the bag: one taken, one back", makers, sizes, options.rounds)
    table("in a pool: allocated, released", {n: pooled(m) for n, m in STRATEGIES.items()}, sizes, options.rounds)


if __name__ == "__main__":
    main()
