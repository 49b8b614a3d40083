"""Any sequence of calls: the pool agrees with a model that is too simple to be wrong."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool import ReleaseReason, ResourcePool, StatusReport
from plugin_pool.keeping.kept import KeptPool

IDS = [f"e{number}" for number in range(6)]
TASKS = [f"t{number}" for number in range(4)]
LEVELS = st.dictionaries(st.sampled_from("xy"), st.integers(1, 3), max_size=2)
LINES = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from("ab"), "count": st.integers(1, 2), "capabilities": LEVELS}),
    min_size=1,
    max_size=3,
)


class PoolMachine(RuleBasedStateMachine):
    epochs = Bundle("epochs")

    @initialize(strategy=st.sampled_from(["first_fit", "best_fit"]))
    def begin(self, strategy: str) -> None:
        self.pool: Any = ResourcePool(strategy=strategy)
        self.entities: dict[str, dict[str, Any]] = {}
        self.held: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.usage: dict[str, str] = {}

    @rule(name=st.sampled_from(IDS), kind=st.sampled_from("ab"), levels=LEVELS, capacity=st.sampled_from([1, 1, 2]))
    def add(self, name: str, kind: str, levels: dict[str, int], capacity: int) -> None:
        given = {"id": name, "type": kind, "capabilities": levels, "capacity": capacity}
        try:
            self.pool.add_resource(given)
        except InvalidRequestError:
            assert name in self.entities
        else:
            assert name not in self.entities
            self.entities[name] = {**given, "service": "in"}

    @rule(name=st.sampled_from(IDS))
    def remove(self, name: str) -> None:
        try:
            self.pool.remove_resource(name)
        except InvalidRequestError:
            assert name not in self.entities
        except ResourceUnavailableError:
            assert self.holders(name)
        else:
            assert not self.holders(name)
            del self.entities[name]

    @rule(name=st.sampled_from(IDS), call=st.sampled_from(["repair_resource", "quarantine_resource", "drain"]))
    def change_service(self, name: str, call: str) -> None:
        if name not in self.entities:
            return
        before = self.entities[name]["service"]
        after = {"repair_resource": "in", "quarantine_resource": "faulty", "drain": "draining"}[call]
        if (before, after) == ("faulty", "draining"):
            after = "faulty"
        assert getattr(self.pool, call)(name) == (before != after)
        self.entities[name]["service"] = after

    @rule(target=epochs, task=st.sampled_from(TASKS), lines=LINES)
    def allocate(self, task: str, lines: list[dict[str, Any]]) -> Any:
        try:
            found = self.pool.allocate_resources(task, lines)
        except InvalidRequestError:
            assert task in self.held
            return (task, 0)
        assert task not in self.held
        if found:
            for name in found.allocated_resources:
                entity = self.entities[name]
                assert entity["service"] == "in"
                assert len(self.holders(name)) < entity["capacity"]
            assert len(found.allocated_resources) == sum(line["count"] for line in lines)
            self.held[task] = (found.epoch, found.allocated_resources)
            self.usage[task] = "deployed"
        return (task, found.epoch)

    @rule(task=st.sampled_from(TASKS), call=st.sampled_from(["busy", "blocked"]))
    def mark(self, task: str, call: str) -> None:
        done = (self.pool.mark_executing if call == "busy" else self.pool.mark_blocked)(task)
        assert done == (task in self.held)
        if done:
            self.usage[task] = call

    @rule(given=consumes(epochs), reason=st.sampled_from(list(ReleaseReason)), fault=st.booleans())
    def release_by_epoch(self, given: tuple[str, int], reason: ReleaseReason, fault: bool) -> None:
        task, epoch = given
        current = self.held.get(task)
        mine = current is not None and current[0] == epoch
        faulty = current[1][:1] if mine and current is not None and fault else None
        assert self.pool.release_resources(task, reason, epoch=epoch, faulty=faulty) == mine
        assert not self.pool.release_resources(task, reason, epoch=epoch)
        if mine:
            self.released(task, reason, faulty)

    @rule(task=st.sampled_from(TASKS), reason=st.sampled_from(list(ReleaseReason)))
    def release(self, task: str, reason: ReleaseReason) -> None:
        assert self.pool.release_resources(task, reason) == (task in self.held)
        if task in self.held:
            self.released(task, reason, None)

    def released(self, task: str, reason: ReleaseReason, faulty: tuple[str, ...] | None) -> None:
        _, names = self.held.pop(task)
        del self.usage[task]
        if faulty is None:
            faulty = names if reason in (ReleaseReason.FAILED, ReleaseReason.EXPIRED) else ()
        for name in faulty:
            self.entities[name]["service"] = "faulty"

    def holders(self, name: str) -> list[str]:
        return [task for task, (_, names) in self.held.items() if name in names]

    def status(self, name: str) -> str:
        service = self.entities[name]["service"]
        if service == "faulty":
            return "error"
        usages = {self.usage[task] for task in self.holders(name)}
        if not usages:
            return "available" if service == "in" else "released"
        return next(one for one in ("busy", "deployed", "blocked") if one in usages)

    @invariant()
    def it_agrees_with_the_model(self) -> None:
        statuses = {name: self.status(name) for name in self.entities}
        found = {name: self.pool.get_resource(name) for name in self.entities}
        assert {name: one.status.value for name, one in found.items()} == statuses
        assert {name: set(one.tasks) for name, one in found.items()} == {
            name: set(self.holders(name)) for name in found
        }
        counts = {one: list(statuses.values()).count(one) for one in set(statuses.values())}
        assert self.pool.get_status_report() == StatusReport(len(statuses), **counts)

    @invariant()
    def the_counts_of_the_groups_are_exact(self) -> None:
        for group in self.pool._index.groups:
            own = [one for one in self.pool._stock.entities.values() if one.group is group]
            assert group.total == len(own)
            assert group.in_service == len([one for one in own if not one.service])
            assert group.room == len([one for one in own if one.has_room]) == len(list(group.bag))
            assert set(group.bag) == {one for one in own if one.has_room}


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase


class KeptPoolMachine(PoolMachine):
    """As above, with a pool on disk that is closed, killed, or made a snapshot of, at any moment."""

    @initialize(strategy=st.sampled_from(["first_fit", "best_fit"]))
    def begin(self, strategy: str) -> None:
        self.places = tempfile.TemporaryDirectory()
        self.strategy = strategy
        self.number = 0
        super().begin(strategy)
        self.pool = self.opened()

    def opened(self) -> KeptPool:
        return ResourcePool.open(f"{self.places.name}/{self.number}", strategy=self.strategy)

    @rule()
    def close_it(self) -> None:
        self.pool.close()
        self.pool = self.opened()

    @rule()
    def kill_it(self) -> None:
        """What is on disk at this moment goes on; the former pool lets go of its files as they are."""
        self.number += 1
        shutil.copytree(f"{self.places.name}/{self.number - 1}", f"{self.places.name}/{self.number}")
        self.pool._keeper.let_go()
        self.pool = self.opened()

    @rule()
    def make_a_snapshot(self) -> None:
        self.pool._keeper.renew()

    def teardown(self) -> None:
        if hasattr(self, "places"):
            self.pool._keeper.let_go()
            self.places.cleanup()


KeptPoolMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestKeptPool = KeptPoolMachine.TestCase


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kept_pool_for_long() -> None:
    long = settings(max_examples=1000, stateful_step_count=100, deadline=None)
    run_state_machine_as_test(KeptPoolMachine, settings=long)
