"""Explanations: complete, minimal, and true."""

from __future__ import annotations

import asyncio
import json

import pytest

from framework.errors import InvalidRequestError
from plugin_pool import ResourcePool, Tier
from plugin_pool.explanation import Explanation

SEARCH = {"type": "executor", "capabilities": {"web_search": 5}}


@pytest.fixture
def pool() -> ResourcePool:
    pool = ResourcePool(patience=0.0)
    pool.add_resource({"id": "e1", "type": "executor", "capabilities": {"web_search": 8, "file_ops": 2}})
    pool.add_resource({"id": "e2", "type": "executor", "capabilities": {"web_search": 5}, "labels": {"zone": "a"}})
    return pool


def funnel(found: Explanation, part: int = 0) -> dict[str, int]:
    return {step.condition: step.entities for step in found.parts[part].funnel}


def test_what_is_free_needs_nothing(pool: ResourcePool) -> None:
    found = pool.explain(SEARCH)

    assert (found.tier, found.change) == (Tier.FREE, "")
    assert found.sentence == "The request can have everything now: 1 executor (web_search >= 5)."
    assert json.loads(json.dumps(found.as_json()))["sentence"] == found.sentence


def test_the_funnel_counts_condition_by_condition(pool: ResourcePool) -> None:
    pool.allocate_resources("task", {"ids": ["e1"]})
    needs = {"type": "executor", "capabilities": {"file_ops": 2, "web_search": 5}, "labels": {"zone": "a"}}

    found = pool.explain([needs, SEARCH, {"ids": ["e1", "nobody"]}])

    assert funnel(found, 0) == {"of that id": 1, "as required": 1, "in service": 1, "free": 0}
    assert funnel(found, 1) == {
        "type executor": 2,
        "file_ops >= 2": 1,
        "web_search >= 5": 1,
        "zone=a": 0,
        "in service": 0,
        "free": 0,
    }
    assert funnel(found, 2) == {"type executor": 2, "web_search >= 5": 2, "in service": 2, "free": 1}


def test_who_holds_what_is_needed_is_told_with_since_when(pool: ResourcePool) -> None:
    epoch = pool.allocate_resources("task", {"ids": ["e2"]}, ttl=60).epoch

    found = pool.explain([SEARCH, SEARCH])

    assert (found.tier, found.needed, found.found, found.blocked) == (Tier.BUSY, 2, 1, 1)
    (blocker,) = found.blockers
    allocation = pool.get_allocation("task")
    assert allocation is not None
    assert (blocker.id, blocker.task, blocker.since, epoch) == ("e2", "task", allocation.since, allocation.epoch)
    assert blocker.expires_in is not None
    assert 0 < blocker.expires_in <= 60
    assert "e2 is held by 'task' for" in found.sentence
    assert "A release of 1 executor (web_search >= 5), as held by 'task', would do." in found.sentence
    pool.close()


def test_what_needs_a_person_is_told_by_name(pool: ResourcePool) -> None:
    pool.quarantine_resource("e1")
    pool.drain("e2")

    found = pool.explain([SEARCH, SEARCH])

    assert found.tier is Tier.ERROR
    assert {(one.id, one.status) for one in found.blockers} == {("e1", "error"), ("e2", "released")}
    assert "e1 is in error; e2 is drained" in found.sentence


def test_who_nearly_fits_is_told_with_what_is_missing(pool: ResourcePool) -> None:
    found = pool.explain({"type": "executor", "capabilities": {"web_search": 7, "file_ops": 3}})

    assert found.tier is Tier.IMPOSSIBLE
    assert [(one.id, one.lacks) for one in found.parts[0].nearest] == [
        ("e1", ("file_ops 2 instead of 3",)),
        ("e2", ("file_ops 0 instead of 3", "web_search 5 instead of 7")),
    ]
    assert "Adding 1 executor (file_ops >= 3, web_search >= 7) would do." in found.sentence


def test_misspelt_words_are_told(pool: ResourcePool) -> None:
    found = pool.explain({"type": "exceutor", "capabilities": ["web_serch"]})

    assert found.similar == (
        "'exceutor' is unknown; did you mean 'executor'?",
        "'web_serch' is unknown; did you mean 'web_search'?",
    )


def test_only_the_requirements_that_cannot_be_met_together_are_told(pool: ResourcePool) -> None:
    best = {"type": "executor", "capabilities": {"web_search": 6}}
    pool.add_resource({"id": "a", "type": "api"})

    found = pool.explain([{"type": "api"}, SEARCH, best, {"type": "executor", "capabilities": {"file_ops": 1}}])

    assert [str(one) for one in found.unmet] == ["1 executor (web_search >= 6)", "1 executor (file_ops >= 1)"]
    assert (found.needed, found.found) == (2, 1)
    assert "together need 2 different ones, 1 in the pool" in found.sentence


async def test_the_place_in_line_is_told_and_for_whom_something_is_kept(pool: ResourcePool) -> None:
    pool.allocate_resources("task", {"ids": ["e2"]})
    gang = asyncio.create_task(pool.acquire_async("gang", {"type": "executor", "count": 2}))
    while pool.get_status_report().waiting < 1:
        await asyncio.sleep(0)
    single = asyncio.create_task(pool.acquire_async("single", SEARCH))
    while pool.get_status_report().waiting < 2:
        await asyncio.sleep(0)

    assert pool.explain("gang").position == 1
    found = pool.explain("single")
    assert (found.position, found.kept_for, found.tier) == (2, "gang", Tier.FREE)
    assert "is kept for the task 'gang'" in found.sentence
    assert "number 2 in line" in found.sentence
    assert pool.explain("task").sentence == "The task 'task' waits for nothing; it holds e2."
    with pytest.raises(InvalidRequestError, match="Did you mean 'gang'"):
        pool.explain("gangs")
    gang.cancel()
    single.cancel()


async def test_what_a_task_holds_itself_is_no_blocker(pool: ResourcePool) -> None:
    pool.allocate_resources("own", {"ids": ["e1"]})
    pool.allocate_resources("other", {"ids": ["e2"]})
    more = asyncio.create_task(pool.extend_async("own", SEARCH))
    while pool.get_status_report().waiting < 1:
        await asyncio.sleep(0)

    found = pool.explain("own")
    assert [(one.id, one.task) for one in found.blockers] == [("e2", "other")]
    assert (found.blocked, found.held) == (1, ("e1",))
    assert found.change == "a release of 1 executor (web_search >= 5), as held by 'other'"
    pool.release_resources("other")
    await more


async def test_what_is_kept_is_kept_for_the_task_that_needs_the_same(pool: ResourcePool) -> None:
    pool.add_resource({"id": "d", "type": "database"})
    pool.allocate_resources("task", {"ids": ["e2"]})
    tasks = []
    for name, kind in (("elsewhere", "database"), ("gang", "executor")):
        if kind == "database":
            needs = [{"type": kind, "count": 1}, {"type": "api"}]
            tasks.append(asyncio.create_task(pool.acquire_async(name, needs, until="impossible")))
        else:
            tasks.append(asyncio.create_task(pool.acquire_async(name, {"type": kind, "count": 2})))
        while pool.get_status_report().waiting < len(tasks):
            await asyncio.sleep(0)

    assert pool.explain(SEARCH).kept_for == "gang"
    assert pool.explain({"type": "database"}).kept_for == "elsewhere"
    for one in tasks:
        one.cancel()
    await asyncio.wait(tasks)


def test_who_nearly_fits_is_looked_for_among_what_there_is(pool: ResourcePool) -> None:
    pool.add_resource({"id": "gone", "type": "reviewer"})
    pool.remove_resource("gone")
    (part,) = pool.explain({"type": "reviewer", "capabilities": {"web_search": 5}}).parts
    assert {one.id for one in part.nearest} == {"e1", "e2"}
