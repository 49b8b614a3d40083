"""Whatever is done on either side, the ledger and the pool agree on who holds what and what it is doing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from framework import Usage
from plugin_pool import ReleaseReason, ResourcePool, ShortageError
from plugin_pool.hosting.pooled import PooledEntities
from plugin_pool.hosting.provider import PoolProvider

TASKS = [f"t{number}" for number in range(4)]
tasks = st.sampled_from(TASKS)
SAME = {"available": "deployed", "error": "deployed"}
"""What the ledger may say of what is `deployed` in the pool."""
TURNS = 1000
"""Turns of the loop after which both sides must agree."""


class Lending(RuleBasedStateMachine):
    """Three entities, lent through a provider, and handled in the pool behind its back."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.pool = ResourcePool()
        for name in "abc":
            self.pool.add_resource({"id": name, "type": "executor"})
        self.provider = PoolProvider(self.pool)
        self.run(self.provider.initialize())
        self.held: dict[str, PooledEntities] = {}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @rule(task=tasks, count=st.integers(1, 2))
    def acquire(self, task: str, count: int) -> None:
        if task in self.held:
            return
        needs = {"type": "executor", "count": count}
        try:
            self.held[task] = self.run(self.provider.create("pool.entity", task=task, requirements=needs, timeout=0))
        except ShortageError:
            assert self.pool.get_status_report().available < count

    @rule(task=tasks)
    def extend(self, task: str) -> None:
        if task in self.held:
            try:
                self.run(self.held[task].extend({"type": "executor"}, timeout=0))
            except ShortageError:
                assert self.pool.get_status_report().available == 0

    @rule(task=tasks, reason=st.sampled_from(ReleaseReason))
    def release(self, task: str, reason: ReleaseReason) -> None:
        if task in self.held:
            self.run(self.held.pop(task).release(reason))

    @rule(task=tasks)
    def forget(self, task: str) -> None:
        self.held.pop(task, None)

    @rule(task=tasks, usage=st.sampled_from(Usage))
    def mark(self, task: str, usage: Usage) -> None:
        if task in self.held:
            self.held[task].mark(usage)

    @rule(task=tasks, how=st.sampled_from(["executing", "blocked", "deployed"]))
    def mark_in_the_pool(self, task: str, how: str) -> None:
        assert getattr(self.pool, f"mark_{how}")(task) is (task in self.held)

    @rule(task=tasks, reason=st.sampled_from(ReleaseReason))
    def release_in_the_pool(self, task: str, reason: ReleaseReason) -> None:
        assert self.pool.release_resources(task, reason) is (self.held.pop(task, None) is not None)

    @rule(name=st.sampled_from("abc"))
    def repair(self, name: str) -> None:
        self.pool.repair_resource(name)

    @invariant()
    def both_sides_agree(self) -> None:
        self.run(self._agree())
        found = self.pool.get_statistics()
        assert found.held == len(self.held)
        assert found.grants == found.held + sum(found.releases.values())
        assert min(found.releases.values()) >= 0
        watched = self.provider._link in self.pool._stock.watchers
        assert watched is bool(self.held)

    async def _agree(self) -> None:
        for turn in range(TURNS):
            if turn == TURNS // 2:
                gc.collect()  # a shortage that was caught can keep alive what nobody refers to any more
            if self._in_the_ledger() == self._in_the_pool() and self._in_the_pool().keys() == self.held.keys():
                return
            await asyncio.sleep(0)
        raise AssertionError(self._in_the_ledger(), self._in_the_pool(), self.held)

    def _in_the_ledger(self) -> dict[str, str]:
        records = self.provider.ledger.records()
        return {one.name: SAME.get(one.status.value, one.status.value) for one in records}

    def _in_the_pool(self) -> dict[str, str]:
        leases = self.pool._stock.leases.values()
        return {one.task_id: one.usage.value for one in leases}

    def teardown(self) -> None:
        self.held.clear()
        self.run(self.provider.cleanup())
        assert self.provider.ledger.records() == ()
        assert self.pool.get_statistics().held == 0
        self.runner.close()


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
