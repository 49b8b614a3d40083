"""Checking, allocating, releasing: one rule at a time."""

from __future__ import annotations

from typing import Any

import pytest

from framework import ResourceClass, ResourceStatus
from framework.errors import InvalidRequestError
from plugin_pool import (
    AllocationStatus,
    BlockedReason,
    CapabilityRequirement,
    ReleaseReason,
    ResourcePool,
    ResourceRequirement,
    StatusReport,
    Tier,
)


def need(
    kind: str, count: int = 1, *, optional: bool = False, ids: Any = None, labels: Any = None, **levels: int
) -> Any:
    found = {"type": kind, "count": count, "capabilities": levels, "optional": optional, "labels": labels or {}}
    return {**found, "ids": ids} if ids else found


def pool_of(**levels: dict[str, int]) -> ResourcePool:
    pool = ResourcePool()
    for name, capabilities in levels.items():
        pool.add_resource({"id": name, "type": "executor", "capabilities": capabilities})
    return pool


def test_the_level_counts_on_the_capability_that_was_asked_for() -> None:
    pool = pool_of(a={"x": 9, "y": 2})

    assert pool.check_resource_requirements(need("executor", x=9))
    assert not pool.check_resource_requirements(need("executor", y=3))
    assert not pool.check_resource_requirements(need("executor", x=9, z=1))


def test_a_greedy_choice_loses_where_an_exact_one_does_not() -> None:
    pool = pool_of(both={"x": 1, "y": 1}, one={"x": 9})

    found = pool.allocate_resources("task", [need("executor", x=1), need("executor", y=1)])

    assert set(found.allocated_resources) == {"both", "one"}


def test_nothing_is_held_when_something_is_missing() -> None:
    pool = pool_of(a={"x": 1}, b={"x": 1})

    found = pool.allocate_resources("task", [need("executor", 2, x=1), need("api", 3), need("tool")])

    assert not found
    assert [(one.type, one.count) for one in found.missing_resources] == [("api", 3), ("tool", 1)]
    assert "3 api" in found.error
    assert found.tier is Tier.IMPOSSIBLE
    assert pool.get_status_report().available == 2
    assert pool.get_allocation("task") is None


def test_the_four_tiers_are_told_at_once() -> None:
    pool = pool_of(a={"x": 5}, b={"x": 5})
    wanted = need("executor", 2, x=5)

    def tier() -> Tier:
        return pool.check_resource_requirements(wanted).tier

    assert tier() is Tier.FREE
    pool.allocate_resources("task", need("executor"))
    assert tier() is Tier.BUSY
    pool.release_resources("task", "failed")
    assert tier() is Tier.ERROR
    assert pool.check_resource_requirements(need("executor", 3)).tier is Tier.IMPOSSIBLE
    assert pool.check_resource_requirements(need("executor", x=6)).tier is Tier.IMPOSSIBLE


def test_a_misspelt_word_is_named_in_the_error() -> None:
    found = pool_of(a={"web_search": 5}).allocate_resources("task", need("exceutor", web_serch=1))

    assert "did you mean 'executor'" in found.error.lower()
    assert "did you mean 'web_search'" in found.error.lower()


def test_what_is_named_is_that_very_entity() -> None:
    pool = pool_of(a={"x": 1}, b={"x": 1}, c={"x": 1})

    assert (
        pool.allocate_resources("task", [need("executor", ids=["b"]), need("executor")]).allocated_resources[0] == "b"
    )
    refused = pool.allocate_resources("other", [need("executor", ids=["b", "a"])])
    assert refused.missing_resources[0].ids in {("b",), ("b", "a")}
    assert refused.tier is Tier.BUSY
    assert pool.check_resource_requirements({"ids": ["nobody"]}).tier is Tier.IMPOSSIBLE
    assert pool.check_resource_requirements(need("executor", ids=["c"], x=2)).tier is Tier.IMPOSSIBLE
    assert not pool.check_resource_requirements([{"ids": ["c"]}, {"ids": ["c"]}])


def test_what_is_named_is_not_given_to_another_line_of_the_same_task() -> None:
    pool = pool_of(a={}, b={})

    found = pool.allocate_resources("task", [need("executor"), need("executor", ids=["a"])])

    assert sorted(found.allocated_resources) == ["a", "b"]


def test_what_is_optional_is_taken_whole_or_not_at_all_and_never_in_the_way() -> None:
    pool = pool_of(a={"x": 9}, b={"x": 1}, c={"x": 1})

    found = pool.allocate_resources("task", [need("executor", 2, optional=True, x=1), need("executor", x=9)])
    assert sorted(found.allocated_resources) == ["a", "b", "c"]
    pool.release_resources("task")
    found = pool.allocate_resources("task", [need("executor", 3, optional=True), need("executor", x=9)])
    assert found.allocated_resources == ("a",)
    pool.release_resources("task")
    found = pool.allocate_resources("task", [need("executor", optional=True, ids=["a"]), need("executor", x=9)])
    assert found.allocated_resources == ("a",)
    pool.release_resources("task")
    found = pool.allocate_resources("task", [need("executor", optional=True, ids=["a"]), need("executor", 2)])
    assert len(found.allocated_resources) in {2, 3}
    assert pool.allocate_resources("other", need("tool", optional=True))


def test_labels_are_conditions() -> None:
    pool = ResourcePool()
    for zone in "ab":
        pool.add_resource({"id": zone, "type": "tool", "labels": {"zone": zone, "kind": "x"}})

    assert pool.allocate_resources("t", need("tool", labels={"zone": "b", "kind": "x"})).allocated_resources == ("b",)
    assert pool.check_resource_requirements(need("tool", labels={"zone": "c"})).tier is Tier.IMPOSSIBLE


def test_a_shared_entity_serves_several_tasks_but_each_once() -> None:
    pool = ResourcePool()
    for name in "ab":
        pool.add_resource({"id": name, "type": "api", "capacity": 2})

    assert not pool.check_resource_requirements(need("api", 3))
    held = [pool.allocate_resources(task, need("api")).allocated_resources[0] for task in "123"]
    assert sorted(held)[:2] in (["a", "a"], ["a", "b"])
    assert set(held[:2]) == {"a", "b"}, "the one with fewest holders first"
    assert not pool.check_resource_requirements(need("api", 2))
    pool.allocate_resources("4", need("api"))
    assert pool.check_resource_requirements(need("api")).tier is Tier.BUSY
    pool.mark_executing("1")
    assert pool.get_status_report() == StatusReport(2, deployed=1, busy=1)
    assert set(pool.get_resource(held[0]).tasks) >= {"1"}
    for task in "1234":
        assert pool.release_resources(task)
    assert pool.get_status_report() == StatusReport(2, available=2)


def test_the_statuses_follow_the_task() -> None:
    pool = pool_of(a={}, b={})
    pool.allocate_resources("task", need("executor", 2))
    allocation = pool.get_allocation("task")
    assert allocation is not None
    assert (allocation.status, allocation.blocked_reason) == (AllocationStatus.ALLOCATED, None)
    assert pool.get_status_report() == StatusReport(2, deployed=2)

    assert pool.mark_executing("task")
    assert pool.get_resource("a").status is ResourceStatus.BUSY
    assert pool.get_status_report() == StatusReport(2, busy=2)
    assert pool.mark_blocked("task")
    allocation = pool.get_allocation("task")
    assert allocation is not None
    assert (allocation.status, allocation.blocked_reason) == (
        AllocationStatus.BLOCKED,
        BlockedReason.DEPENDENCY_NOT_READY,
    )
    assert pool.get_status_report() == StatusReport(2, blocked=2)
    assert pool.release_resources("task")
    assert pool.get_status_report() == StatusReport(2, available=2)
    assert not pool.mark_executing("task")
    assert pool.get_allocation("task") is None


@pytest.mark.parametrize("reason", list(ReleaseReason))
def test_the_reason_decides_who_repairs(reason: ReleaseReason) -> None:
    pool = pool_of(a={}, b={}, c={})
    pool.allocate_resources("task", need("executor", 2))

    pool.release_resources("task", reason.value)

    errors = 2 if reason in (ReleaseReason.FAILED, ReleaseReason.EXPIRED) else 0
    assert pool.get_status_report() == StatusReport(3, available=3 - errors, error=errors)


def test_a_release_may_say_which_entities_are_at_fault() -> None:
    pool = pool_of(a={}, b={})
    pool.allocate_resources("task", need("executor", 2))
    with pytest.raises(InvalidRequestError, match=r"'c'.*not held"):
        pool.release_resources("task", "failed", faulty=["c"])
    assert pool.release_resources("task", "failed", faulty=["b"])
    assert pool.get_resource("b").status is ResourceStatus.ERROR
    assert pool.get_status_report() == StatusReport(2, available=1, error=1)
    pool.allocate_resources("task", need("executor"))
    assert pool.release_resources("task", "failed", faulty=[])
    assert pool.get_status_report() == StatusReport(2, available=1, error=1)


def test_the_policy_can_leave_all_failures_to_the_tasks() -> None:
    pool = ResourcePool(error_after=["expired"])
    pool.add_resource({"id": "a", "type": "tool"})
    pool.allocate_resources("task", need("tool"))

    pool.release_resources("task", "failed")

    assert pool.get_status_report().available == 1


def test_a_late_release_gives_back_no_later_allocation() -> None:
    pool = pool_of(a={})
    first = pool.allocate_resources("task", need("executor"))
    assert pool.release_resources("task", epoch=first.epoch)
    second = pool.allocate_resources("task", need("executor"))

    assert not pool.release_resources("task", "failed", epoch=first.epoch)
    assert not pool.mark_executing("task", epoch=first.epoch)
    assert pool.get_status_report().deployed == 1
    assert pool.release_resources("task", epoch=second.epoch)


def test_a_task_allocates_once() -> None:
    pool = pool_of(a={}, b={})
    pool.allocate_resources("task", need("executor"))

    with pytest.raises(InvalidRequestError, match="'task' holds resources already"):
        pool.allocate_resources("task", need("executor"))

    assert pool.get_status_report().deployed == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no requirements"),
        ({"type": "executor", "count": 0}, "1 to 1,000,000"),
        ({"type": "executor", "count": 10**9}, "1 to 1,000,000"),
        ({"type": "executor", "count": "two"}, "two"),
        ({"type": ""}, "type of a requirement"),
        ({"type": "executor", "capabilities": [{"type": "x", "min_level": 11}]}, "1 to 10"),
        ({"type": "executor", "optional": 1}, "true or false"),
        ({"type": "executor", "ids": ["a", "a"]}, "twice"),
        ({"type": "executor", "ids": ["a", "b"], "count": 3}, "names 2"),
        ({"type": "executor", "cuont": 1}, "Did you mean 'count'"),
        ([{"type": f"t{number}"} for number in range(1001)], "1,000 different"),
        ([{"type": "executor", "count": 600_000}, {"type": "executor", "count": 600_000}], "1,000,000 entities"),
        ("executor", "executor"),
        (["\x00"], "x00"),
    ],
)
def test_wrong_requirements_are_refused(given: object, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        pool_of(a={}).allocate_resources("task", given)


@pytest.mark.parametrize("task", ["", "a\tb", 7, "x" * 201])
def test_a_wrong_task_id_is_refused(task: Any) -> None:
    pool = pool_of(a={})

    with pytest.raises(InvalidRequestError, match="id of a task"):
        pool.allocate_resources(task, need("executor"))

    assert pool.get_status_report().available == 1


def test_an_unknown_reason_is_refused() -> None:
    pool = pool_of(a={})
    pool.allocate_resources("task", need("executor"))

    with pytest.raises(InvalidRequestError, match=r"'complete'.*Did you mean 'completed'"):
        pool.release_resources("task", "complete")

    assert pool.get_status_report().deployed == 1


def test_a_million_equal_requirements_are_one() -> None:
    pool = pool_of(a={}, b={})

    found = pool.allocate_resources("task", [ResourceRequirement("executor")] * 100_000)

    assert found.missing_resources == (ResourceRequirement("executor", count=99_998),)


def test_a_prepared_request_is_good_also_for_what_comes_later() -> None:
    pool = ResourcePool()
    request = pool.prepare(ResourceRequirement("executor", (CapabilityRequirement("x", 5),)))
    assert pool.prepare(request) is request
    assert pool.check_resource_requirements(request).tier is Tier.IMPOSSIBLE

    pool.add_resource({"id": "a", "type": "executor", "capabilities": {"x": 7}})

    assert pool.allocate_resources("task", request).allocated_resources == ("a",)


def test_a_request_of_another_pool_is_refused() -> None:
    request = pool_of(a={}).prepare({"type": "executor"})

    with pytest.raises(InvalidRequestError, match="another pool"):
        pool_of(a={}).allocate_resources("task", request)


def test_the_check_shows_what_would_be_taken() -> None:
    pool = pool_of(a={"x": 1}, b={"x": 2}, c={})

    found = pool.check_resource_requirements(need("executor", 2, x=1))

    assert [one.id for one in found.available_resources] == ["a", "b"]
    assert [one.id for one in found.available_resources[1:]] == ["b"]
    assert pool.get_status_report().available == 3


class Reversed:
    name = "reversed"

    def rank(self, resource_class: ResourceClass) -> float:
        return -float(sum(resource_class.capabilities.values()))


@pytest.mark.parametrize(("strategy", "first"), [("first_fit", "b"), ("best_fit", "a"), (Reversed(), "c")])
def test_the_strategy_decides_what_is_taken_first(strategy: Any, first: str) -> None:
    pool = ResourcePool(strategy=strategy)
    for name, level in {"b": 5, "c": 9, "a": 1}.items():
        pool.add_resource({"id": name, "type": "executor", "capabilities": {"x": level}})

    assert pool.allocate_resources("task", need("executor")).allocated_resources == (first,)


class Raises:
    name = "raises"

    def rank(self, resource_class: ResourceClass) -> float:
        raise ZeroDivisionError("oh")


class Nonsense:
    name = "nonsense"

    def rank(self, resource_class: ResourceClass) -> Any:
        return "high" if "x" in resource_class.capabilities else float("nan")


@pytest.mark.parametrize(("strategy", "said"), [(Raises(), "oh"), (Nonsense(), "nan|high")])
def test_a_strategy_that_fails_is_named_and_nothing_is_lent(strategy: Any, said: str) -> None:
    pool = ResourcePool(strategy=strategy)
    pool.add_resource({"id": "a", "type": "executor"})

    with pytest.raises(InvalidRequestError, match=rf"{strategy.name}.*({said})"):
        pool.allocate_resources("task", need("executor"))

    assert pool.get_status_report().available == 1


def test_an_unknown_strategy_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequestError, match="Did you mean 'best_fit'"):
        ResourcePool(strategy="bestfit")


def test_an_optional_entity_that_is_named_is_counted_once() -> None:
    """Its class has nothing left then, and not less than nothing."""
    pool = ResourcePool()
    pool.add_resource({"id": "a", "type": "t"})
    for name in "bcd":
        pool.add_resource({"id": name, "type": "t", "labels": {"zone": "n"}})
    needs = [{"ids": ["c"]}, {"type": "t", "ids": ["a"], "optional": True}, {"type": "t", "optional": True}]
    assert {one.id for one in pool.check_resource_requirements(needs).available_resources} == {"a", "b", "c"}
    assert set(pool.allocate_resources("task", needs).allocated_resources) == {"a", "b", "c"}
