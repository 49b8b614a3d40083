"""The strategies in a real pool, as objects and by configuration."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import pytest

from framework import Framework
from plugin_strategies import Affinity, LeastConnections, Priority, ResourceBased, RoundRobin, TwoChoices

plugin_pool = pytest.importorskip("plugin_pool")

NEED = {"type": "t"}
SPREAD = {"spread": "zone", "anti_affinity": "zone"}


def pool_of(strategy: object, *given: dict[str, Any]) -> Any:
    pool = plugin_pool.ResourcePool(strategy=strategy)
    for one in given:
        pool.add_resource({"type": "t", **one})
    return pool


def numbered(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"e{number}", **fields} for number in range(count)]


def zones(**sizes: int) -> list[dict[str, Any]]:
    return [{"id": f"{z}{n}", "labels": {"zone": z}} for z, size in sizes.items() for n in range(size)]


def take(pool: Any, task: str, **more: Any) -> str:
    found = pool.allocate_resources(task, {**NEED, **more})
    assert found.success, found.error
    return ",".join(found.allocated_resources)


def test_round_robin_gives_every_entity_of_every_class_its_turn() -> None:
    pool = pool_of(RoundRobin(), *numbered(3), {"id": "able", "capabilities": {"x": 9}}, *zones(a=2))
    turns = []
    for number in range(30):
        turns.append(take(pool, f"task-{number}"))
        pool.release_resources(f"task-{number}")
    assert sorted(turns[:6]) == ["a0", "a1", "able", "e0", "e1", "e2"]
    assert turns == turns[:6] * 5


def test_round_robin_counts_who_was_taken_by_name() -> None:
    pool = pool_of(RoundRobin(), *numbered(3, capacity=2))
    pool.allocate_resources("named", {"ids": ["e0"]})
    assert [take(pool, str(one)) for one in range(3)] == ["e1", "e2", "e0"]


def test_least_connections_levels_loads_over_classes() -> None:
    pool = pool_of(
        LeastConnections(), *numbered(3, capacity=8), {"id": "able", "capabilities": {"x": 9}, "capacity": 8}
    )
    rng = random.Random(1)
    held: dict[str, str] = {}
    for number in range(400):
        if held and (len(held) > 20 or rng.random() < 0.4):
            task = rng.choice(sorted(held))
            pool.release_resources(task)
            del held[task]
        loads = {name: list(held.values()).count(name) for name in ("e0", "e1", "e2", "able")}
        found = held[f"t{number}"] = take(pool, f"t{number}")
        assert loads[found] == min(loads.values())


def test_resource_based_follows_what_is_reported() -> None:
    pool = pool_of(ResourceBased(), *numbered(3, capacity=5), {"id": "able", "capabilities": {"x": 9}, "capacity": 5})
    for name, cpu in (("e0", 0.9), ("e1", 0.6), ("e2", 0.7), ("able", 0.3)):
        pool.report_load(name, cpu=cpu, memory=0.5)
    assert take(pool, "1") == "able"
    pool.report_load("able", cpu=1.0)
    assert take(pool, "2") == "e1"
    pool.report_load("e0", cpu=7)  # more than there is, as some measure it; counts as 1
    pool.report_load("e2", cpu=0.0)
    assert take(pool, "3") == "e2"
    pool.drain("e2")
    assert take(pool, "4") == "e1"


def test_priority_takes_the_highest_label_first() -> None:
    given = [{"id": name, "labels": {"tier": name}} for name in ("bronze", "gold", "silver")]
    pool = pool_of(Priority(name="tier", values={"gold": 10, "silver": 5}), *given)
    assert [take(pool, str(one)) for one in range(3)] == ["gold", "silver", "bronze"]


def test_affinity_gives_given_tasks_to_given_entities() -> None:
    rules: list[dict[str, object]] = [
        {"tasks": "billing-*", "prefer": ["e3", "e2"]},
        {"tasks": "audit-*", "near": {"zone": "b"}, "avoid": {"zone": ["a"]}},
    ]
    pool = pool_of(Affinity(rules=rules), *numbered(4), *zones(a=2, b=1))
    assert take(pool, "billing-1") == "e3"
    assert take(pool, "billing-2") == "e2"
    assert take(pool, "billing-3") not in {"e2", "e3"}
    assert take(pool, "audit-1") == "b0"
    assert take(pool, "audit-2") in {"e0", "e1"}


def test_sticky_tasks_return_to_who_served_their_key() -> None:
    pool = pool_of(Affinity(sticky=True), *numbered(10))
    first = {f"customer-{number}": take(pool, f"customer-{number}/first") for number in range(10)}
    assert len(set(first.values())) == 10
    for name in random.Random(2).sample(sorted(first), 10):
        pool.release_resources(f"{name}/first")
    for name in random.Random(3).sample(sorted(first), 10):
        assert take(pool, f"{name}/second") == first[name]


def test_a_sticky_task_takes_another_when_its_entity_is_taken_or_gone() -> None:
    pool = pool_of(Affinity(sticky=True), *numbered(3))
    old = take(pool, "customer/1")
    new = take(pool, "customer/2")
    assert new != old
    pool.release_resources("customer/2")
    pool.remove_resource(new)
    assert take(pool, "customer/3") not in {old, new}


def test_tasks_of_one_key_keep_apart_as_long_as_there_is_room() -> None:
    pool = pool_of(Affinity(anti_affinity="zone"), *zones(a=3, b=3, c=3))
    found = [take(pool, f"job/{number}") for number in range(4)]
    assert {one[0] for one in found[:3]} == {"a", "b", "c"}
    assert take(pool, "other/1")
    pool.release_resources("job/1")
    assert take(pool, "job/5")[0] == found[1][0] or found[3][0] == found[1][0]


def test_load_spreads_over_zones_and_fills_what_is_left() -> None:
    pool = pool_of(Affinity(spread="zone"), *zones(a=2, b=20, c=20))
    counts = Counter(take(pool, str(number))[0] for number in range(22))
    assert counts == {"a": 2, "b": 10, "c": 10}
    for number in range(22):
        pool.release_resources(str(number))
    assert Counter(take(pool, f"again-{number}")[0] for number in range(6)) == {"a": 2, "b": 2, "c": 2}


def test_two_choices_level_loads_almost() -> None:
    pool = pool_of(TwoChoices(seed=5), *numbered(50, capacity=100))
    counts = Counter(take(pool, str(number)) for number in range(500))
    assert len(counts) == 50
    assert max(counts.values()) <= 10 + 5


STRATEGIES: list[tuple[str, dict[str, Any]]] = [
    ("affinity", {"sticky": True, "spread": "zone"}),
    ("affinity", SPREAD),
    ("best_fit", {}),
    ("first_fit", {}),
    ("least_connections", {}),
    ("priority", {"name": "zone", "values": {"b": 1}}),
    ("resource_based", {}),
    ("round_robin", {}),
    ("two_choices", {"seed": 3}),
]


@pytest.mark.parametrize(("name", "arguments"), STRATEGIES)
async def test_a_host_takes_a_strategy_by_its_name(
    name: str, arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever happens, nothing is given twice or lost, and nothing that the pool had to do without is reported."""
    resources = [{"type": "t", "capacity": 1 + number % 2, **one} for number, one in enumerate(zones(a=4, b=4, c=4))]
    own = {name: arguments} if arguments else {}
    plugins = {"pool": {"strategy": name, "resources": resources}, "strategies": own}
    async with Framework.from_config({"plugins": plugins}) as host:
        pool: Any = await host.service("pool")
        _live(pool)
    assert "pool_strategy_failed" not in caplog.text


def _live(pool: Any) -> None:
    rng = random.Random(4)
    held: dict[str, tuple[str, ...]] = {}
    capacity = {f"{z}{n}": 1 + (4 * k + n) % 2 for k, z in enumerate("abc") for n in range(4)}
    for number in range(500):
        what = rng.random()
        name = rng.choice(sorted(capacity))
        if what < 0.5:
            task = f"key-{number % 7}/{number}"
            found = pool.allocate_resources(task, {**NEED, "count": rng.choice([1, 1, 1, 3])})
            if found.success:
                held[task] = found.allocated_resources
        elif what < 0.85 and held:
            task = rng.choice(sorted(held))
            assert pool.release_resources(task)
            del held[task]
        elif what < 0.95:
            pool.report_load(name, cpu=rng.random(), memory=rng.random())
        else:
            pool.quarantine_resource(name)
            pool.repair_resource(name)
        uses = Counter(name for names in held.values() for name in names)
        assert all(uses[name] <= most for name, most in capacity.items())
    for task in held:
        pool.release_resources(task)
    assert pool.get_status_report().available == 12


async def test_without_the_plugin_the_pool_says_what_is_missing() -> None:
    plugins = {"pool": {"strategy": "round_robin", "resources": [{"type": "t", "id": "e"}]}}
    async with Framework.from_config({"plugins": plugins}) as host:
        pool: Any = await host.service("pool")
        with pytest.raises(Exception, match="round_robin") as caught:
            pool.allocate_resources("task", NEED)
    assert "strategies" in str(caught.value)


@pytest.mark.parametrize("key", ["a", "b"])
def test_a_waiting_task_is_handed_what_it_would_like(key: str) -> None:
    pool = pool_of(Affinity(sticky=True), *numbered(2))
    served = {one: take(pool, f"{one}/1") for one in "ab"}
    for one in "ab":
        pool.release_resources(f"{one}/1")
    take(pool, "both", count=2)
    got: list[Any] = []
    waiting = threading.Event()
    telling = type("Telling", (plugin_pool.Watcher,), {"joined": lambda *_: waiting.set()})
    pool.watch(telling())

    def wait() -> None:
        with pool.acquire(f"{key}/2", NEED, timeout=60) as lease:
            got.append(lease.resources)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(60)
    pool.release_resources("both")
    thread.join(60)
    assert got == [(served[key],)]
