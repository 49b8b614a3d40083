"""The orchestrator: what it dispatches, what stops it, what lets it go on."""

from __future__ import annotations

import threading

import pytest

from framework.errors import InvalidRequestError
from plugin_pool import AllocationStatus, BlockedReason, Orchestrator, OrchestratorState, ResourcePool
from plugin_pool.waiter import Waiter

ONE = {"type": "executor"}
LONG = 60.0


@pytest.fixture
def pool() -> ResourcePool:
    pool = ResourcePool()
    for name in ("a", "b"):
        pool.add_resource({"id": name, "type": "executor", "capabilities": {"web_search": 5}})
    return pool


@pytest.fixture
def orchestrator(pool: ResourcePool) -> Orchestrator:
    return Orchestrator(pool)


def state(orchestrator: Orchestrator) -> OrchestratorState:
    return orchestrator.state


def test_a_task_goes_from_allocated_to_completed(orchestrator: Orchestrator, pool: ResourcePool) -> None:
    assert orchestrator.submit("task", ONE).status is AllocationStatus.ALLOCATED
    assert state(orchestrator) is OrchestratorState.RUNNING
    lease = orchestrator.next(LONG)
    assert lease is not None
    assert (lease.task_id, lease.resources) == ("task", ("a",))
    lease.mark_executing()
    assert orchestrator.allocation("task").status is AllocationStatus.EXECUTING
    assert orchestrator.finish("task")
    assert not orchestrator.finish("task")
    assert orchestrator.allocation("task").status is AllocationStatus.COMPLETED
    assert orchestrator.next(0) is None
    assert pool.get_status_report().available == 2


def test_a_shortage_that_time_ends_is_a_pause_and_ends_by_itself(orchestrator: Orchestrator) -> None:
    orchestrator.submit("first", {**ONE, "count": 2})
    found = orchestrator.submit("second", ONE)

    assert (found.status, found.blocked_reason) == (AllocationStatus.BLOCKED, BlockedReason.RESOURCE_SHORTAGE)
    assert state(orchestrator) is OrchestratorState.PAUSED
    assert "missing 1 executor; it is in use" in orchestrator.reason
    assert [(one.action, one.params["reason"]) for one in orchestrator.actions] == [("STOP", orchestrator.reason)]
    orchestrator.finish("first")
    assert state(orchestrator) is OrchestratorState.RUNNING
    assert orchestrator.reason == ""
    assert [getattr(orchestrator.next(LONG), "task_id", None)] == ["second"]


@pytest.mark.parametrize("how", ["add", "repair"])
def test_a_shortage_that_needs_a_person_is_a_review_and_ends_with_what_was_lacking(
    orchestrator: Orchestrator, pool: ResourcePool, how: str
) -> None:
    if how == "repair":
        pool.drain()
    kind = "executor" if how == "repair" else "reviewer"
    orchestrator.submit("task", {"type": kind, "count": 2})
    assert state(orchestrator) is OrchestratorState.BLOCKED_REVIEW
    assert [(one.type, one.count) for one in orchestrator.missing_resources] == [(kind, 2)]
    assert kind in orchestrator.reason

    for name in ("a", "b"):
        if how == "repair":
            pool.repair_resource(name)
        else:
            pool.add_resource({"id": f"reviewer-{name}", "type": "reviewer"})

    assert state(orchestrator) is OrchestratorState.RUNNING
    lease = orchestrator.next(LONG)
    assert lease is not None
    assert len(lease.resources) == 2


def test_what_is_lacking_for_one_task_does_not_stop_the_others(orchestrator: Orchestrator) -> None:
    orchestrator.submit("stuck", {"type": "reviewer"})

    assert orchestrator.submit("task", ONE).status is AllocationStatus.ALLOCATED


def test_by_the_letter_every_shortage_stops_it_until_somebody_says_start(pool: ResourcePool) -> None:
    orchestrator = Orchestrator(pool, resume=False)
    orchestrator.submit("first", {**ONE, "count": 2})
    orchestrator.submit("second", ONE)
    assert state(orchestrator) is OrchestratorState.PAUSED
    orchestrator.finish("first")
    assert state(orchestrator) is OrchestratorState.PAUSED
    assert orchestrator.allocation("second").status is AllocationStatus.BLOCKED
    assert orchestrator.submit("third", ONE).status is AllocationStatus.BLOCKED

    assert orchestrator.start("released") is OrchestratorState.RUNNING

    assert orchestrator.allocation("second").status is AllocationStatus.ALLOCATED
    assert [(one.action) for one in orchestrator.actions] == ["STOP", "START"]
    assert orchestrator.actions[1].params == {"reason": "released"}
    orchestrator.submit("fourth", {"type": "reviewer"})
    assert state(orchestrator) is OrchestratorState.BLOCKED_REVIEW
    assert orchestrator.start() is OrchestratorState.BLOCKED_REVIEW


def test_a_person_can_stop_it(orchestrator: Orchestrator) -> None:
    orchestrator.submit("first", {**ONE, "count": 2})
    orchestrator.submit("low", ONE)
    orchestrator.submit("high", {**ONE, "count": 2}, priority=5)
    orchestrator.stop("lunch")
    with pytest.raises(InvalidRequestError, match="no reason"):
        orchestrator.stop("")

    orchestrator.finish("first")
    assert state(orchestrator) is OrchestratorState.PAUSED
    assert orchestrator.reason.startswith("lunch")
    assert orchestrator.next(0) is None, "the first has ended, and no other was dispatched"
    assert orchestrator.allocation("low").status is AllocationStatus.BLOCKED
    orchestrator.start("back")
    assert orchestrator.allocation("high").status is AllocationStatus.ALLOCATED
    assert orchestrator.allocation("low").status is AllocationStatus.BLOCKED


def test_a_task_waits_for_those_that_come_first(orchestrator: Orchestrator) -> None:
    orchestrator.submit("first", ONE)
    found = orchestrator.submit("second", ONE, after=["first"])
    assert (found.status, found.blocked_reason) == (AllocationStatus.BLOCKED, BlockedReason.DEPENDENCY_NOT_READY)
    assert state(orchestrator) is OrchestratorState.RUNNING

    orchestrator.finish("first", "failed", faulty=[])
    assert orchestrator.allocation("first").status is AllocationStatus.FAILED
    assert orchestrator.allocation("second").blocked_reason is BlockedReason.DEPENDENCY_NOT_READY
    orchestrator.submit("first", ONE)
    orchestrator.finish("first")
    assert orchestrator.allocation("second").status is AllocationStatus.ALLOCATED


def test_a_task_can_be_withdrawn_while_it_waits(orchestrator: Orchestrator, pool: ResourcePool) -> None:
    orchestrator.submit("task", {"type": "reviewer"})
    assert orchestrator.finish("task", "cancelled")
    assert state(orchestrator) is OrchestratorState.RUNNING
    assert pool.get_status_report().waiting == 0


def test_what_is_taken_away_from_a_task_is_its_failure(orchestrator: Orchestrator, pool: ResourcePool) -> None:
    orchestrator.submit("task", ONE)
    pool.release_resources("task", "preempted")

    assert orchestrator.allocation("task").status is AllocationStatus.FAILED


def test_wrong_tasks_are_refused(orchestrator: Orchestrator, pool: ResourcePool) -> None:
    orchestrator.submit("task", ONE)
    with pytest.raises(InvalidRequestError, match="known already"):
        orchestrator.submit("task", ONE)
    with pytest.raises(InvalidRequestError, match="Did you mean 'task'"):
        orchestrator.submit("other", ONE, after=["tsk"])
    with pytest.raises(InvalidRequestError, match="no task 'nobody'"):
        orchestrator.finish("nobody")
    pool.allocate_resources("taken", ONE)
    with pytest.raises(InvalidRequestError, match="'taken' holds"):
        orchestrator.submit("taken", ONE)
    with pytest.raises(InvalidRequestError, match="no task 'taken'"):
        orchestrator.allocation("taken")


def test_workers_take_every_task_once(orchestrator: Orchestrator, pool: ResourcePool) -> None:
    tasks = [f"task-{number}" for number in range(200)]
    done: list[str] = []

    def work() -> None:
        while len(done) < len(tasks):
            lease = orchestrator.next(0.05)
            if lease is not None:
                done.append(lease.task_id)
                orchestrator.finish(lease.task_id)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number, task in enumerate(tasks):
        orchestrator.submit(task, ONE, priority=number % 3)
    for worker in workers:
        worker.join(LONG)
    assert sorted(done) == sorted(tasks)
    assert pool.get_status_report().available == 2


def test_what_a_task_is_given_at_the_moment_of_its_end_is_given_back() -> None:
    class Crossing(ResourcePool):
        """Another thread releases what the task waits for, just before the task leaves the line."""

        def leave(self, waiter: Waiter) -> bool:
            self.release_resources("other")
            return super().leave(waiter)

    pool = Crossing()
    pool.add_resource({"id": "e", "type": "t"})
    assert pool.allocate_resources("other", {"type": "t"})
    orchestrator = Orchestrator(pool)
    orchestrator.submit("task", {"type": "t"})

    assert orchestrator.finish("task", "cancelled")
    assert pool.get_resource("e").tasks == ()
    assert orchestrator.next(timeout=0) is None


def test_a_wrong_reason_ends_no_task_that_waits(orchestrator: Orchestrator) -> None:
    orchestrator.submit("task", {"type": "nobody"})
    with pytest.raises(InvalidRequestError, match="'done'; completed, failed"):
        orchestrator.finish("task", "done")
    assert orchestrator.allocation("task").status is AllocationStatus.BLOCKED
