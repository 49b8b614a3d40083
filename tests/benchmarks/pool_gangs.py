"""What exactness costs in the plugin `pool`: gangs against a greedy planner, the infeasible, and explanations.

    python tests/benchmarks/pool_gangs.py [--rounds 9]

The greedy planner works on the pool's own data: one requirement after the other takes the best class that has room, and
nothing is ever moved, so that it finds no plan in some cases in which there is one. Both plan for gangs of 1, 3 and 10
in a pool of 1,000 entities in 100 classes, half in use, where the greedy one succeeds; by themselves, and within
allocating and releasing. In the tight case it cannot: each of ten requirements wants what the one before it took.

Infeasible by competition: n different requirements, each of which any of n - 1 entities of different classes would
meet. That there is no plan is proven once by the pool's planner and once by depth-first backtracking over the entities.
The variants take turns within each round; figures are the minimum over rounds of the mean processor time over a batch.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.benchmarks.pool import Measure, best, each, pair, pool_of, show

from plugin_pool import ResourcePool, Tier
from plugin_pool.entity import Entity
from plugin_pool.planner import Plan, Planner
from plugin_pool.request import Request

GANGS = (1, 3, 10)
NAMES = [4 * letter for letter in "abcdefghijk"]
"""Capabilities, none of which looks like a misspelling of another."""
INFEASIBLE = (6, 8, 10)


class Greedy(Planner):
    """Serves one requirement after the other with the best that is left, and never moves anything."""

    def plan(
        self,
        request: Request,
        tier: Tier = Tier.FREE,
        *,
        before: Sequence[Request] = (),
        aside: Sequence[Entity] = (),
        task_id: str | None = None,
    ) -> Plan:
        """Return what it finds of what is free; nothing that it has not found everything."""
        request.refresh()
        plan = Plan()
        takes = plan.takes
        for line in request.lines:
            wanted = line.units
            for group in line.signature.with_room():
                taken = takes.get(group, 0)
                if units := min(group.room - taken, wanted):
                    takes[group] = taken + units
                    wanted -= units
                    if not wanted:
                        break
            if wanted:
                return Plan(missing=[line.short(wanted)])
        return plan


def greedy(pool: ResourcePool) -> ResourcePool:
    """Return the pool with the greedy planner in place of its own."""
    pool._stock.planner = Greedy(pool._index, pool._stock.entities, pool._stock.out_of_service)
    return pool


def gangs() -> dict[str, Measure]:
    """Return gangs of several sizes, planned and allocated, by both planners."""
    found: dict[str, Measure] = {}
    for name, pool in {"exact": pool_of(1_000), "greedy": greedy(pool_of(1_000))}.items():
        for size in GANGS:
            needs = [{"type": "executor", "capabilities": {"web_search": 1 + one}} for one in range(size)]
            request, planner = pool.prepare(needs), pool._stock.planner
            assert planner.plan(request).satisfied
            found[f"{name} plan of {size}"] = each(partial(planner.plan, request), 2000)
            found[f"{name} gang of {size}, allocated and released"] = each(pair(pool, [request]), 2000)
    return found


def tight(size: int) -> Measure:
    """Return a plan for which the last requirement has to move all others."""
    pool = ResourcePool()
    for number in range(size):
        levels = {NAMES[number]: 1, NAMES[number + 1]: 1}
        pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": levels})
    pool.add_resource({"id": "taken", "type": "t", "capabilities": {NAMES[0]: 1}, "labels": {"of": "others"}})
    assert pool.allocate_resources("others", {"type": "t", "labels": {"of": "others"}})
    # the class that others have keeps the last line from being planned first, as the scarcest would be
    request = pool.prepare([{"type": "t", "capabilities": {name: 1}} for name in reversed(NAMES[:size])])
    planner = pool._stock.planner
    assert planner.plan(request).satisfied
    assert not Greedy(pool._index, pool._stock.entities, pool._stock.out_of_service).plan(request).satisfied
    return each(partial(planner.plan, request), 1000)


def infeasible(size: int) -> dict[str, Measure]:
    """Return proofs that so many requirements cannot be met by one entity fewer, any of which would do for each."""
    pool = ResourcePool()
    names = NAMES[:size]
    for number in range(size - 1):
        levels = dict.fromkeys(names, 1)
        pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": levels, "labels": {"at": str(number)}})
    request = pool.prepare([{"type": "t", "capabilities": {name: 1}} for name in names])
    planner = pool._stock.planner

    def refuse() -> None:
        request.known_at = -1  # as for a request that nobody has made before
        pool.allocate_resources("task", request)

    entities = [frozenset(names) for _ in range(size - 1)]
    assert len(planner.plan(request).unmet) == size
    assert not backtrack(names, entities)
    return {
        f"no plan for {size} of which {size - 1} exist": each(partial(planner.plan, request), 1000),
        f"the same refused by allocate_resources, with {size}": each(refuse, 500),
        f"the same by backtracking, with {size}": each(lambda: backtrack(names, entities), 1),
    }


def backtrack(needs: Sequence[str], entities: Sequence[frozenset[str]]) -> bool:
    """Return whether each need gets an entity of its own, by trying everything."""
    taken = [False] * len(entities)

    def rest(position: int) -> bool:
        if position == len(needs):
            return True
        for number, entity in enumerate(entities):
            if not taken[number] and needs[position] in entity:
                taken[number] = True
                if rest(position + 1):
                    return True
                taken[number] = False
        return False

    return rest(0)


def explanations() -> dict[str, Measure]:
    """Return explanations of what cannot be had, in a pool of 1,000 classes."""
    pool = ResourcePool()
    for number in range(1_000):
        levels = {"x": 1 + number % 10, "y": 1 + number // 10 % 10, "z": 1 + number // 100}
        pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": levels})
    assert pool.allocate_resources("all", {"type": "t", "count": 1_000})
    taken = pool.prepare({"type": "t", "capabilities": {"x": 5, "y": 5}})
    lacking = pool.prepare({"type": "t", "capabilities": {"x": 5, "y": 5, "w": 1}})
    lines = [{"type": "t", "capabilities": {"x": 1 + one}} for one in range(9)]
    many = pool.prepare([*lines, {"type": "t", "capabilities": {"x": 1, "w": 1}}])
    return {
        "check of 10 in 1,000 classes, one of which nobody can meet": each(
            lambda: pool.check_resource_requirements(many), 200
        ),
        "explanation of that": each(lambda: pool.explain(many), 50),
        "explanation of one that others hold": each(lambda: pool.explain(taken), 50),
        "explanation of one that nobody can meet": each(lambda: pool.explain(lacking), 50),
    }


def main() -> None:
    """Measure, and print a table and the ratios of exact to greedy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    variants = gangs()
    variants["exact plan of 10 in the tight case, where greedy finds none"] = tight(10)
    for size in INFEASIBLE:
        variants |= infeasible(size)
    variants |= explanations()
    found = best(variants, options.rounds)
    show(found, found["exact gang of 1, allocated and released"])
    for size in GANGS:
        plan = found[f"exact plan of {size}"] / found[f"greedy plan of {size}"]
        whole = [found[f"{name} gang of {size}, allocated and released"] for name in ("exact", "greedy")]
        print(
            f"exact / greedy, gang of {size:2}: plan {plan:5.2f} x, allocated and released {whole[0] / whole[1]:5.2f} x"
        )


if __name__ == "__main__":
    main()
