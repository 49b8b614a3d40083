"""Everything that the seed document on the resource pool asks for, by the ids K1-K67 of its checklist.

Each test names its ids at the beginning of its docstring; the last one sees that none is missing.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from framework import Framework, ResourceStatus
from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool import (
    Action,
    AllocationStatus,
    BlockedReason,
    Orchestrator,
    OrchestratorState,
    ResourceInstance,
    ResourcePool,
    ResourceRequirement,
    StatusReport,
    Tier,
    infer_resource_requirements,
)
from plugin_pool.vocabulary import MOST_NAMED, MOST_REQUIREMENTS, TYPICAL

RESEARCH = {
    "id": "executor-research-1",
    "type": "executor",
    "capabilities": [{"type": "web_search", "level": 10}, {"type": "data_analysis", "level": 9}],
}
FULLSTACK = {
    "id": "executor-fullstack",
    "name": "Fullstack Executor",
    "type": "executor",
    "capabilities": [
        {"type": "web_search", "level": 8},
        {"type": "code_generation", "level": 9},
        {"type": "file_ops", "level": 10},
        {"type": "report_generation", "level": 7},
    ],
}
BING = {"id": "api-bing", "type": "api", "capabilities": [{"type": "external_api_access", "level": 5}]}
SEARCH = {"type": "executor", "capabilities": [{"type": "web_search", "min_level": 5}]}


@pytest.fixture
def pool() -> ResourcePool:
    pool = ResourcePool()
    for one in (RESEARCH, FULLSTACK, BING):
        pool.add_resource(one)
    return pool


def test_tasks_are_dispatched_from_the_pool(pool: ResourcePool) -> None:
    """K1 K2 K3 K4: by category, for as long as the task takes, and back."""
    assert pool.allocate_resources("task-1", {"type": "api"}).allocated_resources == ("api-bing",)
    assert not pool.allocate_resources("task-2", {"type": "api"})
    pool.release_resources("task-1", "completed")
    assert pool.allocate_resources("task-2", {"type": "api"})


@pytest.mark.parametrize(
    ("kind", "capabilities"),
    [
        ("executor", {"web_search", "file_ops", "code_generation", "shell_exec"}),
        ("orchestrator", {"planning", "coordination"}),
        ("reviewer", {"code_review", "quality_check"}),
        ("tool", {"specific_tool_access"}),
        ("api", {"external_api_access"}),
        ("database", {"db_connection"}),
    ],
)
def test_the_types_of_the_seed_are_predefined(kind: str, capabilities: set[str]) -> None:
    """K5 K6 K7 K8 K9 K10: with their typical capabilities, also in the catalogue of a pool that has none yet."""
    assert set(TYPICAL[kind]) == capabilities
    catalog = ResourcePool().get_capability_catalog()
    assert {one.capability for one in catalog if one.type == kind and one.typical} == capabilities


def test_types_are_open_words() -> None:
    """C7: any type that somebody declares is as good as a predefined one."""
    pool = ResourcePool()
    pool.add_resource({"id": "k", "type": "kiln", "capabilities": {"firing": 3}})
    assert pool.allocate_resources("t", {"type": "kiln", "capabilities": {"firing": 3}})


def test_an_entity_has_the_statuses_of_the_seed(pool: ResourcePool) -> None:
    """K11 K12 K13 K14 K15 K16: available, deployed, busy, blocked, error, released."""

    def status() -> str:
        return pool.get_resource("api-bing").status.value

    assert status() == "available"
    pool.allocate_resources("t", {"type": "api"})
    assert status() == "deployed"
    pool.mark_executing("t")
    assert status() == "busy"
    pool.mark_blocked("t")
    assert status() == "blocked"
    pool.release_resources("t", "failed")
    assert status() == "error"
    pool.repair_resource("api-bing")
    pool.drain("api-bing")
    assert status() == "released"
    assert {one.value for one in ResourceStatus} == {"available", "deployed", "busy", "blocked", "error", "released"}


def test_an_allocation_says_how_far_a_task_is(pool: ResourcePool) -> None:
    """K17 K18 K19 K20: its task, its resources, its status and why it is blocked, with the seed's words."""
    orchestrator = Orchestrator(pool)
    found = orchestrator.submit("task-1", [SEARCH, {"type": "api"}])
    assert found.task_id == "task-1"
    assert set(found.allocated_resources) == {"executor-research-1", "api-bing"}
    assert found.status is AllocationStatus.ALLOCATED
    pool.mark_executing("task-1")
    assert orchestrator.allocation("task-1").status is AllocationStatus.EXECUTING
    blocked = orchestrator.submit("task-2", {"type": "api"})
    assert (blocked.status, blocked.blocked_reason) == (AllocationStatus.BLOCKED, BlockedReason.RESOURCE_SHORTAGE)
    later = orchestrator.submit("task-3", SEARCH, after=["task-1"])
    assert (later.status, later.blocked_reason) == (AllocationStatus.BLOCKED, BlockedReason.DEPENDENCY_NOT_READY)
    orchestrator.finish("task-1", "completed")
    assert orchestrator.allocation("task-1").status is AllocationStatus.COMPLETED
    orchestrator.finish("task-2", "failed")
    assert orchestrator.allocation("task-2").status is AllocationStatus.FAILED
    words = {"allocated", "executing", "completed", "blocked", "failed"}
    assert {one.value for one in AllocationStatus} == words
    assert {one.value for one in BlockedReason} == {"resource_shortage", "dependency_not_ready"}


@pytest.mark.parametrize(
    ("description", "capability"),
    [
        ("搜索 DeepSeek 论文", "web_search"),
        ("Search for papers", "web_search"),
        ("编写代码", "code_generation"),
        ("Write the code", "code_generation"),
        ("读取文件", "file_ops"),
        ("Move the files", "file_ops"),
        ("生成报告", "report_generation"),
        ("Write a report", "report_generation"),
    ],
)
def test_requirements_are_inferred(pool: ResourcePool, description: str, capability: str) -> None:
    """K21 K22 K23 K24 K25: search, code, files, report."""
    for found in (infer_resource_requirements(description), pool.infer_resource_requirements(description)):
        assert [(one.type, [each.type for each in one.capabilities]) for one in found] == [("executor", [capability])]


def test_one_entity_with_both_skills_is_preferred(pool: ResourcePool) -> None:
    """K21 K58: what one can do is required of one."""
    found = pool.infer_resource_requirements("Search, and write a report")
    assert pool.allocate_resources("t", found).allocated_resources == ("executor-fullstack",)


def test_a_check_says_what_is_missing_and_what_would_be_taken(pool: ResourcePool) -> None:
    """K26 K27 K28 K29 K30 K35: satisfied, missing, available; the result of a failure names and lists the types."""
    found = pool.check_resource_requirements([SEARCH, {"type": "api"}])
    assert found.satisfied is True
    assert found.missing_resources == ()
    assert len(found.available_resources) == 2
    found = pool.check_resource_requirements([SEARCH, {"type": "database"}, {"type": "reviewer"}])
    assert found.satisfied is False
    assert [one.type for one in found.missing_resources] == ["database", "reviewer"]

    refused = pool.allocate_resources("t", [SEARCH, {"type": "database"}, {"type": "reviewer"}])

    assert refused.success is False
    assert "database" in refused.error
    assert "reviewer" in refused.error
    assert refused.missing_resources == found.missing_resources


def test_an_allocation_locks_everything_or_nothing(pool: ResourcePool) -> None:
    """K31 K32 K33 K34 K36: success with the ids, which are deployed; or an error, and nothing is held."""
    given = pool.allocate_resources("task-1", [SEARCH, {"type": "api"}])
    assert given.success is True
    assert len(given.allocated_resources) == 2
    assert given.error == ""
    assert {pool.get_resource(one).status.value for one in given.allocated_resources} == {"deployed"}
    before = pool.get_status_report()
    refused = pool.allocate_resources("task-2", [SEARCH, {"type": "api"}])
    assert refused.success is False
    assert refused.error
    assert pool.get_status_report() == before


def test_a_release_gives_everything_back_once(pool: ResourcePool) -> None:
    """K37 K38 K65: true and then false; all is available; a lease in a block leaks nothing."""
    pool.allocate_resources("task-1", [SEARCH, {"type": "api"}])
    assert pool.release_resources("task-1", "completed") is True
    assert pool.release_resources("task-1") is False
    assert pool.get_status_report() == StatusReport(3, available=3)
    with pool.acquire("task-1", SEARCH):
        assert pool.get_status_report().deployed == 1
    assert pool.get_status_report() == StatusReport(3, available=3)


def test_the_report_counts_by_status(pool: ResourcePool) -> None:
    """K39 K40 K41 K42 K43 K44 K45: the seed's six numbers."""
    pool.allocate_resources("a", {"type": "api"})
    pool.allocate_resources("b", {"type": "executor", "ids": ["executor-fullstack"]})
    pool.mark_executing("b")
    report = pool.get_status_report()
    assert (report.total_resources, report.available, report.deployed, report.busy) == (3, 1, 1, 1)
    pool.mark_blocked("b")
    pool.quarantine_resource("executor-research-1")
    report = pool.get_status_report()
    assert (report.total_resources, report.available, report.blocked, report.error) == (3, 0, 1, 1)


def test_a_recoverable_shortage_pauses_until_start(pool: ResourcePool) -> None:
    """K46 K47 K48 K49 K50: STOP with its reason, paused, the release, START, and the task goes on."""
    orchestrator = Orchestrator(pool, resume=False)
    orchestrator.submit("first", {"type": "api"})
    orchestrator.submit("second", {"type": "api"})
    stop: Action = orchestrator.actions[-1]
    assert stop.action == "STOP"
    assert "api" in stop.params["reason"]
    assert orchestrator.state is OrchestratorState.PAUSED
    orchestrator.finish("first")
    assert orchestrator.allocation("second").status is AllocationStatus.BLOCKED
    assert orchestrator.start("the user says so") is OrchestratorState.RUNNING
    assert orchestrator.actions[-1].action == "START"
    assert orchestrator.allocation("second").allocated_resources == ("api-bing",)


def test_an_unrecoverable_shortage_waits_for_a_person(pool: ResourcePool) -> None:
    """K51 K52 K53 K54 K55 K56: STOP names the type, blocked_review, the report, the new resource, START, and on."""
    orchestrator = Orchestrator(pool, resume=False)
    orchestrator.submit("review", {"type": "reviewer"})
    assert "reviewer" in orchestrator.actions[-1].params["reason"]
    assert orchestrator.state is OrchestratorState.BLOCKED_REVIEW
    assert [one.type for one in orchestrator.missing_resources] == ["reviewer"]
    assert orchestrator.start() is OrchestratorState.BLOCKED_REVIEW
    pool.add_resource({"id": "reviewer-1", "type": "reviewer"})
    assert orchestrator.start() is OrchestratorState.RUNNING
    assert orchestrator.allocation("review").allocated_resources == ("reviewer-1",)


def test_an_entity_has_several_capabilities_with_levels_and_one_task(pool: ResourcePool) -> None:
    """K57 K58 K59 K60 K61: the seed's fullstack executor; a task takes all of it and gives all of it back."""
    found = pool.get_resource("executor-fullstack")
    assert (found.id, found.name, found.type) == ("executor-fullstack", "Fullstack Executor", "executor")
    levels = {"web_search": 8, "code_generation": 9, "file_ops": 10, "report_generation": 7}
    assert {one.type: one.level for one in found.capabilities} == levels
    for capability, level in levels.items():
        need = {"type": "executor", "ids": ["executor-fullstack"], "capabilities": {capability: level}}
        assert pool.check_resource_requirements(need).satisfied
        if level < 10:
            assert not pool.check_resource_requirements({**need, "capabilities": {capability: level + 1}}).satisfied
    pool.allocate_resources("t", {"type": "executor", "capabilities": {"file_ops": 1}})
    code = {"type": "executor", "capabilities": {"code_generation": 1}}
    assert not pool.allocate_resources("u", code)
    pool.release_resources("t")
    assert pool.allocate_resources("u", code)


def test_a_failed_task_leaves_its_entities_to_a_person(pool: ResourcePool) -> None:
    """K62 C6: in error until they are repaired; unless the release says that the fault was the task's."""
    pool.allocate_resources("t", {"type": "api"})
    pool.release_resources("t", "failed")
    assert pool.get_resource("api-bing").status is ResourceStatus.ERROR
    assert pool.check_resource_requirements({"type": "api"}).tier is Tier.ERROR
    assert pool.repair_resource("api-bing")
    pool.allocate_resources("t", {"type": "api"})
    pool.release_resources("t", "failed", faulty=[])
    assert pool.get_resource("api-bing").status is ResourceStatus.AVAILABLE


async def test_the_pool_is_configured_before_and_tasks_state_what_they_need() -> None:
    """K63 K64: the seed's research executor, with data_analysis, from the configuration and asked for by its id."""
    async with Framework.from_config({"plugins": {"pool": {"resources": [RESEARCH]}}}) as framework:
        needs = {"type": "executor", "ids": ["executor-research-1"], "capabilities": {"data_analysis": 9}}
        async with framework.acquire("pool.entity", task="t", requirements=needs) as held:
            assert held.resources == ("executor-research-1",)


async def test_what_is_blocked_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """K66: blocked > 0 in the report is a warning, by itself."""

    def warned() -> list[Any]:
        told: list[Any] = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
        return [one for one in told if one["event"] == "pool_blocked"]

    async with Framework.from_config({"plugins": {"pool": {"resources": [BING]}}}) as framework:
        pool: Any = await framework.service("pool")
        pool.allocate_resources("t", {"type": "api"})
        pool.mark_blocked("t")
        assert pool.get_status_report().blocked == 1
        async with asyncio.timeout(60):
            while not warned():
                await asyncio.sleep(0.01)
    assert (warned()[0]["level"], warned()[0]["count"]) == ("warning", 1)


def test_requirements_and_instances_are_types(pool: ResourcePool) -> None:
    """K67: they go in and come out as records, and mappings and other objects will do as well."""
    assert isinstance(pool.get_resource("api-bing"), ResourceInstance)
    assert pool.allocate_resources("t", [ResourceRequirement("api")])


def test_no_id_is_missing() -> None:
    """Every id of the document is named by a test of this file."""
    tests = [one for name, one in vars(sys.modules[__name__]).items() if name.startswith("test_")]
    named = {word for one in tests for word in re.findall(r"\b[KC]\d+\b", (one.__doc__ or "").partition(":")[0])}
    assert {f"K{number}" for number in range(1, 68)} | {"C6", "C7"} <= named
    assert all(inspect.getdoc(one) for one in tests)


WRONG = ["", "a\tb", "a\x1b[31mb", "a\nb", "a\u202eb", "\x00", "x" * 201, 7, None]


@pytest.mark.parametrize("name", WRONG)
def test_names_that_cannot_be_shown_are_refused_everywhere(pool: ResourcePool, name: Any) -> None:
    """Bad input: an id, type, capability, label, task or name with a control character, empty, too long or no text."""
    calls: list[Callable[[], object]] = [
        lambda: pool.add_resource({"id": name, "type": "t"}),
        lambda: pool.add_resource({"id": "x", "type": name}),
        lambda: pool.add_resource({"id": "x", "type": "t", "capabilities": [{"type": name, "level": 1}]}),
        lambda: pool.add_resource({"id": "x", "type": "t", "labels": {"zone": name}}),
        lambda: pool.allocate_resources(name, {"type": "api"}),
        lambda: pool.acquire(name, {"type": "api"}),
        lambda: pool.allocate_resources("t", {"type": "api", "ids": [name]}),
        lambda: pool.allocate_resources("t", {"type": "api", "capabilities": [{"type": name}]}),
        lambda: Orchestrator(pool).submit(name, {"type": "api"}),
    ]
    before = pool.get_status_report()
    for call in calls:
        with pytest.raises(InvalidRequestError) as caught:
            call()
        assert str(caught.value).isprintable()
    assert pool.get_status_report() == before


@pytest.mark.parametrize("level", [0, 11, -1, 5.0, "5", True, None, float("nan")])
def test_levels_are_whole_numbers_from_one_to_ten(pool: ResourcePool, level: Any) -> None:
    """Bad input: a level outside 1-10, of an entity and of a requirement."""
    for call in (
        lambda: pool.add_resource({"id": "x", "type": "t", "capabilities": [{"type": "c", "level": level}]}),
        lambda: pool.allocate_resources("t", {"type": "api", "capabilities": [{"type": "c", "min_level": level}]}),
    ):
        with pytest.raises(InvalidRequestError, match=r"'c'.*1 to 10 are allowed"):
            call()


def test_unknown_words_are_told_with_the_nearest(pool: ResourcePool, caplog: pytest.LogCaptureFixture) -> None:
    """Bad input: a type or capability that is much like a known one."""
    refused = pool.allocate_resources("t", {"type": "executer", "capabilities": {"web_serch": 1}})
    assert refused.tier is Tier.IMPOSSIBLE
    assert "'executor'" in refused.error
    assert "'web_search'" in refused.error
    with caplog.at_level("WARNING", "framework"):
        pool.add_resource({"id": "x", "type": "reviewr"})
    assert [one.msg["nearest"] for one in caplog.records] == ["reviewer"]  # type: ignore[index]


def test_what_is_there_twice_or_not_there_is_refused(pool: ResourcePool) -> None:
    """Bad input: duplicate ids, an allocation twice, the removal of what is held, a release of what is not."""
    with pytest.raises(InvalidRequestError, match="'api-bing' already"):
        pool.add_resource(BING)
    pool.allocate_resources("t", {"type": "api"})
    with pytest.raises(InvalidRequestError, match=r"'t' holds resources already: api-bing"):
        pool.allocate_resources("t", SEARCH)
    with pytest.raises(ResourceUnavailableError, match=r"'api-bing' cannot be removed: it is held by 't'"):
        pool.remove_resource("api-bing")
    assert pool.release_resources("u") is False
    assert pool.release_resources("t", epoch=999) is False
    with pytest.raises(InvalidRequestError, match="'executor-fullstack' is not held by task 't'"):
        pool.release_resources("t", "failed", faulty=["executor-fullstack"])
    assert pool.release_resources("t")
    assert pool.get_status_report() == StatusReport(3, available=3)


def test_requests_without_measure_are_refused_before_all_of_them_is_read(pool: ResourcePool) -> None:
    """Bad input: a million requirements, also without an end; as many names, capabilities and labels."""
    assert pool.allocate_resources("t", [{"type": "executor"}] * 1_000_000).missing_resources[0].count == 999_998
    read = 0

    def endless() -> Any:
        nonlocal read
        for read in itertools.count():
            yield {"type": f"type{read}"}

    with pytest.raises(InvalidRequestError, match=r"more than 1,000 different requirements.*Divide it"):
        pool.allocate_resources("t", endless())
    assert read == MOST_REQUIREMENTS
    with pytest.raises(InvalidRequestError, match="more than 1,000,000 entities"):
        pool.allocate_resources("t", itertools.repeat(ResourceRequirement("executor", count=500_000)))
    names = (f"e{number}" for number in range(10_000_000))
    with pytest.raises(InvalidRequestError, match="more than 10,000 entities"):
        pool.allocate_resources("t", {"ids": names})
    assert next(names) == f"e{MOST_NAMED + 1}"
    many = [f"c{number}" for number in range(5000)]
    for given in ({"capabilities": many}, {"labels": dict.fromkeys(many, "x")}):
        with pytest.raises(InvalidRequestError, match="more than 1,000"):
            pool.allocate_resources("t", {"type": "api", **given})
    assert pool.get_status_report() == StatusReport(3, available=3)


def test_errors_stay_short_however_much_is_asked_for(pool: ResourcePool) -> None:
    """Bad input: what is missing is named up to ten times, and then counted."""
    refused = pool.allocate_resources("t", {"ids": [f"e{number}" for number in range(5000)]})
    assert "e9 and 4,990 more" in refused.error
    assert len(refused.error) < 500
