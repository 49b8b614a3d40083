"""Entities: what is taken in, what is refused, how they are taken out of service."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool import Capability, CatalogEntry, ResourceInstance, ResourcePool, StatusReport, Tier


def pool_of(*ids: str, **fields: Any) -> ResourcePool:
    pool = ResourcePool()
    for one in ids:
        pool.add_resource({"id": one, "type": "executor", **fields})
    return pool


def test_all_entities_are_returned_in_their_order_as_they_are_now() -> None:
    pool = pool_of("b", "a", "c")
    pool.allocate_resources("task", {"type": "executor", "ids": ["a"]})
    pool.remove_resource("c")
    pool.quarantine_resource("b")

    found = [(one.id, one.status.value, one.tasks) for one in pool.get_resources()]
    assert found == [("b", "error", ()), ("a", "deployed", ("task",))]


@pytest.mark.parametrize(
    "given",
    [
        {"id": "e", "type": "executor", "capabilities": [{"type": "web_search", "level": 8}]},
        {"id": "e", "type": "executor", "capabilities": {"web_search": 8}},
        {"id": "e", "type": "executor", "capabilities": [("web_search", 8)]},
        ResourceInstance("e", "executor", capabilities=(Capability("web_search", 8),)),
        SimpleNamespace(id="e", type="executor", capabilities=[SimpleNamespace(type="web_search", level=8)]),
    ],
    ids=["mappings", "levels by name", "pairs", "record", "object"],
)
def test_records_objects_and_mappings_will_all_do(given: object) -> None:
    pool = ResourcePool()

    found = pool.add_resource(given)

    assert (found.id, found.name, found.type, found.capabilities) == (
        "e",
        "e",
        "executor",
        (Capability("web_search", 8),),
    )
    assert pool.get_resource("e") == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "executor"}, "id"),
        ({"id": "", "type": "executor"}, "1 to 200"),
        ({"id": "a\nb", "type": "executor"}, r"a\\nb"),
        ({"id": "x" * 201, "type": "executor"}, "200"),
        ({"id": "e", "type": 7}, "7"),
        ({"id": "e", "type": "t", "capabilities": {"a": 0}}, "1 to 10"),
        ({"id": "e", "type": "t", "capabilities": {"a": 11}}, "11"),
        ({"id": "e", "type": "t", "capabilities": {"a": True}}, "True"),
        ({"id": "e", "type": "t", "capabilities": {"a": 3.0}}, "3.0"),
        ({"id": "e", "type": "t", "capabilities": "abc"}, "a list is allowed"),
        ({"id": "e", "type": "t", "capabilities": [("a", 1), ("a", 2)]}, "levels 1 and 2"),
        ({"id": "e", "type": "t", "capabilities": [{"type": "a", "levle": 2}]}, "Did you mean 'level'"),
        ({"id": "e", "type": "t", "capacity": 0}, "1 to 1,000"),
        ({"id": "e", "type": "t", "labels": ["a"]}, "mapping"),
        ({"id": "e", "type": "t", "labels": {"a": 1}}, "label"),
        ({"id": "e", "typ": "t"}, "Did you mean 'type'"),
        (7, "7"),
    ],
)
def test_a_wrong_resource_is_refused_by_name_and_nothing_is_added(given: object, said: str) -> None:
    pool = ResourcePool()

    with pytest.raises(InvalidRequestError, match=said):
        pool.add_resource(given)

    assert pool.get_status_report() == StatusReport()


def test_an_id_is_given_once() -> None:
    pool = pool_of("e")

    with pytest.raises(InvalidRequestError, match="'e' already"):
        pool.add_resource({"id": "e", "type": "api"})


def test_a_type_that_is_nearly_known_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    pool = ResourcePool()

    with caplog.at_level(logging.WARNING, "framework"):
        pool.add_resource({"id": "e", "type": "exceutor", "capabilities": {"web_serch": 3, "juggling": 2}})

    assert [record.getMessage() for record in caplog.records if "exceutor" in record.getMessage()]
    assert [record.getMessage() for record in caplog.records if "web_serch" in record.getMessage()]
    assert not [record.getMessage() for record in caplog.records if "juggling" in record.getMessage()]
    assert pool.check_resource_requirements({"type": "exceutor"})


def test_what_is_held_is_not_removed() -> None:
    pool = pool_of("e")
    pool.allocate_resources("task", {"type": "executor"})

    with pytest.raises(ResourceUnavailableError, match="'task'"):
        pool.remove_resource("e")

    pool.release_resources("task")
    assert pool.remove_resource("e").id == "e"
    assert pool.get_status_report().total_resources == 0
    assert pool.check_resource_requirements({"type": "executor"}).tier is Tier.IMPOSSIBLE


@pytest.mark.parametrize("call", ["remove_resource", "repair_resource", "quarantine_resource", "drain", "get_resource"])
def test_an_unknown_id_is_named_with_the_nearest(call: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"executer-1.*executor-1"):
        getattr(pool_of("executor-1"), call)("executer-1")


def test_an_id_may_be_used_again_after_its_removal() -> None:
    pool = pool_of("e")
    pool.remove_resource("e")
    pool.add_resource({"id": "e", "type": "executor"})

    assert pool.allocate_resources("a", {"type": "executor"})
    assert not pool.allocate_resources("b", {"type": "executor"})


def test_what_is_drained_is_used_up_and_comes_back_when_it_is_repaired() -> None:
    pool = pool_of("a", "b")
    pool.allocate_resources("task", {"type": "executor", "ids": ["a"]})

    assert pool.drain() == 2
    assert pool.get_resource("a").draining
    assert (pool.get_status_report().deployed, pool.get_status_report().released) == (1, 1)
    assert pool.check_resource_requirements({"type": "executor"}).tier is Tier.ERROR
    assert pool.release_resources("task")
    assert pool.get_status_report().released == 2
    assert pool.repair_resource("a")
    assert not pool.repair_resource("a")
    assert pool.drain("b") == 0
    assert pool.get_status_report() == StatusReport(2, available=1, released=1)


def test_what_is_quarantined_stays_with_its_task_and_then_awaits_a_person() -> None:
    pool = pool_of("a")
    pool.allocate_resources("task", {"type": "executor"})

    assert pool.quarantine_resource("a")
    assert pool.get_status_report() == StatusReport(1, error=1)
    assert pool.get_allocation("task") is not None
    assert pool.release_resources("task")
    assert pool.drain("a") == 0
    assert pool.get_status_report() == StatusReport(1, error=1)
    assert pool.repair_resource("a")
    assert pool.get_status_report() == StatusReport(1, available=1)


def test_a_repair_while_a_task_holds_it_gives_it_to_nobody_else() -> None:
    pool = pool_of("a")
    pool.allocate_resources("task", {"type": "executor"})
    pool.quarantine_resource("a")
    pool.repair_resource("a")

    assert not pool.allocate_resources("other", {"type": "executor"})
    pool.release_resources("task")
    assert pool.allocate_resources("other", {"type": "executor"})


def test_the_catalogue_tells_what_there_is_and_what_is_typical() -> None:
    pool = pool_of("a", "b", capabilities={"web_search": 3})
    pool.add_resource({"id": "c", "type": "executor", "capabilities": {"web_search": 9, "juggling": 4}})
    pool.allocate_resources("task", {"type": "executor", "capabilities": {"juggling": 1}})

    found = {(one.type, one.capability): one for one in pool.get_capability_catalog()}

    assert found["executor", "web_search"] == CatalogEntry("executor", "web_search", 3, 2, 3, 9, typical=True)
    assert found["executor", "juggling"] == CatalogEntry("executor", "juggling", 1, 0, 4, 4, typical=False)
    assert found["database", "db_connection"] == CatalogEntry("database", "db_connection", typical=True)
    assert {kind for kind, _ in found} == {"executor", "orchestrator", "reviewer", "tool", "api", "database"}


def test_many_are_added_at_once() -> None:
    """Just as one after the other would be."""
    given: list[Any] = [
        {"id": "a", "type": "t", "capabilities": {"x": 3}},
        {"id": "b", "type": "t", "capabilities": {"x": 3}},
        {"id": "c", "type": "t", "name": "Third", "capabilities": [{"type": "x", "level": 3}], "capacity": 2},
        ResourceInstance("d", "t", labels={"zone": "n"}),
    ]
    many, one_by_one = ResourcePool(), ResourcePool()
    assert many.add_resources(iter(given)) == 4
    for one in given:
        one_by_one.add_resource(one)
    for name in "abcd":
        assert many.get_resource(name) == one_by_one.get_resource(name)
    assert many.get_status_report() == one_by_one.get_status_report()


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"id": "a", "type": "t"}, "'a' is there twice"),
        ({"id": "old", "type": "t"}, "has a resource 'old' already"),
        ({"id": "c", "type": "t", "capacity": True}, "capacity of resource 'c' is True"),
        ({"id": "c", "type": "t", "levels": 3}, "unknown field 'levels'"),
        ({"type": "t"}, "id of a resource is None"),
        ({"id": "c\x1b", "type": "t"}, "id of a resource is 'c"),
    ],
)
def test_of_many_none_is_added_when_one_is_wrong(last: object, said: str) -> None:
    pool = ResourcePool()
    pool.add_resource({"id": "old", "type": "t"})
    with pytest.raises(InvalidRequestError, match=said):
        pool.add_resources([{"id": "a", "type": "t"}, {"id": "b", "type": "t", "capacity": 1}, last])
    assert pool.get_status_report().total_resources == 1
    with pytest.raises(InvalidRequestError, match="a list of descriptions"):
        pool.add_resources({"id": "a", "type": "t"})


def test_many_that_come_serve_those_who_wait() -> None:
    pool = ResourcePool()
    with ThreadPoolExecutor(1) as threads:
        lease = threads.submit(pool.acquire, "task", {"type": "t", "count": 2}, until="impossible", timeout=60)
        while not pool.get_status_report().waiting:
            time.sleep(0.001)  # until the thread waits
        pool.add_resources([{"id": str(one), "type": "t"} for one in range(3)])
        assert lease.result().resources == ("0", "1")
