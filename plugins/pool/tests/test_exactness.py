"""Any request and any pool: what the planner says is what trying everything says."""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from plugin_pool import ResourceInstance, ResourcePool, ResourceRequirement, Tier

TYPES = ("a", "b")
NAMES = ("x", "y", "z")


def random_entity(chance: random.Random, name: str) -> dict[str, Any]:
    levels = {one: chance.randint(1, 3) for one in NAMES if chance.random() < 0.6}
    labels = {"zone": chance.choice("mn")} if chance.random() < 0.5 else {}
    capacity = 2 if chance.random() < 0.2 else 1
    kind = chance.choice(TYPES)
    return {"id": name, "type": kind, "capabilities": levels, "labels": labels, "capacity": capacity}


def random_line(chance: random.Random, size: int) -> dict[str, Any]:
    if chance.random() < 0.15:
        return {"ids": [f"e{chance.randrange(size + 1)}"], "optional": chance.random() < 0.3}
    levels = {one: chance.randint(1, 3) for one in NAMES if chance.random() < 0.4}
    labels = {"zone": chance.choice("mn")} if chance.random() < 0.2 else {}
    count = chance.choice([1, 1, 1, 2])
    return {
        "type": chance.choice(TYPES),
        "capabilities": levels,
        "labels": labels,
        "count": count,
        "optional": chance.random() < 0.2,
    }


def fits(entity: ResourceInstance, line: dict[str, Any]) -> bool:
    if entity.id not in line.get("ids", [entity.id]):
        return False
    levels = {one.type: one.level for one in entity.capabilities}
    return (
        entity.type == line.get("type", entity.type)
        and all(levels.get(name, 0) >= level for name, level in line.get("capabilities", {}).items())
        and all(entity.labels.get(key) == value for key, value in line.get("labels", {}).items())
    )


def units(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines for _ in range(line.get("count", 1))]


def feasible(lines: Sequence[dict[str, Any]], entities: Sequence[ResourceInstance]) -> bool:
    """Try everything: give each unit each entity that fits and is not given yet."""

    def rest(position: int, taken: frozenset[str]) -> bool:
        if position == len(wanted):
            return True
        found = (one for one in entities if one.id not in taken and fits(one, wanted[position]))
        return any(rest(position + 1, taken | {one.id}) for one in found)

    wanted = units(lines)
    return rest(0, frozenset())


def situation(seed: int) -> tuple[ResourcePool, list[str], list[dict[str, Any]]]:
    """Return a pool in the midst of work, its ids, and what is asked of it."""
    chance = random.Random(seed)
    size = chance.randint(1, 7)
    pool = ResourcePool(strategy=chance.choice(["best_fit", "first_fit"]))
    names = [f"e{number}" for number in range(size)]
    for name in names:
        pool.add_resource(random_entity(chance, name))
    for number in range(chance.randint(0, 4)):
        pool.allocate_resources(f"before{number}", {"ids": [chance.choice(names)]})
    for number in range(chance.randint(0, 3)):
        pool.release_resources(f"before{number}", chance.choice(["completed", "failed"]))
    if chance.random() < 0.3:
        pool.drain(chance.choice(names))
    return pool, names, [random_line(chance, size) for _ in range(chance.randint(1, 5))]


def tiers(pool: ResourcePool, names: Sequence[str]) -> Iterator[tuple[Tier, list[ResourceInstance]]]:
    everything = [pool.get_resource(name) for name in names]
    served = [one for one in everything if one.status.value not in {"error", "released"} and not one.draining]
    yield Tier.FREE, [one for one in served if len(one.tasks) < one.capacity]
    yield Tier.BUSY, served
    yield Tier.ERROR, everything
    yield Tier.IMPOSSIBLE, []


def agree(seed: int) -> None:
    pool, names, lines = situation(seed)
    required = [line for line in lines if not line.get("optional")]
    by_tier = dict(tiers(pool, names))
    expected = next(tier for tier, found in by_tier.items() if tier is Tier.IMPOSSIBLE or feasible(required, found))
    before = pool.get_status_report()

    check = pool.check_resource_requirements(lines)
    assert pool.get_status_report() == before
    assert check.tier is expected
    assert check.satisfied == (expected is Tier.FREE) == (not check.missing_resources)
    would = [one.id for one in check.available_resources]
    found = pool.allocate_resources("now", lines)
    assert (found.success, found.tier) == (check.satisfied, check.tier)
    if found:
        held = list(found.allocated_resources)
        assert sorted(would) == sorted(held)
        assert len(set(held)) == len(held)
        assert set(held) <= {one.id for one in by_tier[Tier.FREE]}
        exactly_met(lines, [pool.get_resource(name) for name in held], by_tier[Tier.FREE])
        for name in held:
            assert len(pool.get_resource(name).tasks) <= pool.get_resource(name).capacity
        assert pool.release_resources("now")
    else:
        lacking = sum(one.count for one in check.missing_resources)
        assert lacking > 0
    assert pool.get_status_report() == before


def exactly_met(lines: list[dict[str, Any]], held: list[ResourceInstance], free: list[ResourceInstance]) -> None:
    """Some optional lines and the required ones use just what is held; the first is left out only if it must be."""
    required = [line for line in lines if not line.get("optional")]
    optional = [line for line in lines if line.get("optional")]
    choices = [[]]  # type: list[list[dict[str, Any]]]
    for line in optional:
        choices += [[*chosen, line] for chosen in choices]
    fitting = [one for one in choices if len(units([*required, *one])) == len(held)]
    assert any(feasible([*required, *one], held) for one in fitting)
    if not optional:
        return
    first = optional[0]
    if not any("ids" in line for line in lines) and feasible([*required, first], free):
        assert any(first in one and feasible([*required, *one], held) for one in fitting)


@pytest.mark.parametrize("block", range(4))
def test_it_agrees_with_trying_everything(block: int) -> None:
    for seed in range(5000 * block, 5000 * (block + 1)):
        agree(seed)


@pytest.mark.slow
@pytest.mark.alone  # it has two processes itself
@pytest.mark.timeout(3600)
def test_it_agrees_with_trying_everything_a_million_times() -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as processes:  # half the time on two cores
        blocks = [range(start, start + 1000) for start in range(0, 1_000_000, 1000)]
        assert sum(processes.map(agree_all, blocks)) == 1_000_000


def agree_all(seeds: range) -> int:
    for seed in seeds:
        agree(seed)
    return len(seeds)


@pytest.mark.parametrize("size", [2, 5, 9, 40])
def test_one_fewer_than_needed_is_proven_and_not_searched_for(size: int) -> None:
    pool = ResourcePool()
    for number in range(size):
        pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": {f"c{one}": 5 for one in range(size + 1)}})
    lines = [{"type": "t", "capabilities": {f"c{number}": 5}} for number in range(size + 1)]

    assert pool.allocate_resources("fits", lines[:-1])
    pool.release_resources("fits")
    found = pool.check_resource_requirements(lines)

    assert (found.tier, len(found.missing_resources)) == (Tier.IMPOSSIBLE, 1)


def test_explanations_are_true_minimal_and_lead_out() -> None:
    for seed in range(2000):
        explain(seed)


def explain(seed: int) -> None:
    pool, names, lines = situation(seed)
    required = [line for line in lines if not line.get("optional")]
    by_tier = dict(tiers(pool, names))

    found = pool.explain(lines)

    assert json.loads(json.dumps(found.as_json()))["sentence"] == found.sentence
    assert found.tier is pool.check_resource_requirements(lines).tier
    if found.tier is Tier.FREE:
        assert found.unmet == ()
        return
    before = by_tier[list(Tier)[list(Tier).index(found.tier) - 1]]
    unmet = [as_line(one) for one in found.unmet]
    assert not feasible(unmet, before)
    for number in range(len(unmet)):
        assert feasible(unmet[:number] + unmet[number + 1 :], before)
    if found.tier is Tier.IMPOSSIBLE and not any("ids" in line for line in required):
        for number, one in enumerate(lacking(pool, lines)):
            levels = {each.type: each.min_level for each in one.capabilities}
            for unit in range(one.count):
                name = f"new-{number}-{unit}"
                pool.add_resource({"id": name, "type": one.type, "capabilities": levels, "labels": one.labels})
        assert pool.explain(lines).tier is not Tier.IMPOSSIBLE
    elif found.tier is Tier.BUSY:
        for task in {one.task for one in found.blockers}:
            pool.release_resources(task)
        assert pool.check_resource_requirements(lines).tier is Tier.FREE


def lacking(pool: ResourcePool, lines: list[dict[str, Any]]) -> list[ResourceRequirement]:
    """Return what is missing although all that there is is counted."""
    return pool._stock.planner.plan(pool.prepare(lines), Tier.ERROR).missing


def as_line(one: Any) -> dict[str, Any]:
    levels = {each.type: each.min_level for each in one.capabilities}
    found = {"capabilities": levels, "labels": dict(one.labels), "count": one.count}
    if one.type:
        found["type"] = one.type
    return {**found, "ids": list(one.ids), "count": 1} if one.ids else found
