"""The strategies that were asked for, by their ids in the list of everything asked for, each in a real pool."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_strategies import Affinity, LeastConnections, Priority, ResourceBased, RoundRobin

plugin_pool = pytest.importorskip("plugin_pool")


def pool_of(strategy: object, **fields: Any) -> Any:
    """Return a pool of three entities, each of a class of its own."""
    pool = plugin_pool.ResourcePool(strategy=strategy)
    for number in range(3):
        pool.add_resource({"id": f"e{number}", "type": "t", "labels": {"number": str(number)}, **fields})
    return pool


def take(pool: Any, task: str) -> str:
    found = pool.allocate_resources(task, {"type": "t"})
    assert found.success, found.error
    return str(found.allocated_resources[0])


def test_que10_round_robin() -> None:
    """QUE10: each in its turn."""
    pool, taken = pool_of(RoundRobin()), []
    for number in range(6):
        taken.append(take(pool, str(number)))
        pool.release_resources(str(number))
    assert taken == ["e0", "e1", "e2"] * 2


def test_que11_least_connections() -> None:
    """QUE11: whoever has the fewest tasks."""
    pool = pool_of(LeastConnections(), capacity=3)
    taken = [take(pool, str(number)) for number in range(6)]
    assert sorted(taken[:3]) == sorted(taken[3:]) == ["e0", "e1", "e2"]
    pool.release_resources("1")
    assert take(pool, "next") == taken[1]


def test_que12_cpu_and_memory() -> None:
    """QUE12: whoever is least busy, by what was measured."""
    pool = pool_of(ResourceBased())
    for name, cpu, memory in (("e0", 0.9, 0.2), ("e1", 0.1, 0.1), ("e2", 0.2, 0.9)):
        pool.report_load(name, cpu=cpu, memory=memory)
    assert take(pool, "first") == "e1"


def test_que13_custom_priority() -> None:
    """QUE13: in an order of one's own."""
    pool = pool_of(Priority("label", "number", {"2": 3.0, "0": 2.0, "1": 1.0}))
    assert [take(pool, str(number)) for number in range(3)] == ["e2", "e0", "e1"]


def test_que14_given_tasks_to_given_entities() -> None:
    """QUE14: where the task belongs, as long as it has room."""
    pool = pool_of(Affinity(rules=[{"tasks": "report-*", "prefer": ["e2"]}]), capacity=2)
    assert [take(pool, task) for task in ("report-1", "report-2")] == ["e2", "e2"]
    assert take(pool, "report-3") != "e2"
