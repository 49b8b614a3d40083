"""Any sequence of calls with tasks that wait: nothing idles that somebody could use, and nobody waits in vain."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool import DeadlockError, ReleaseReason, ResourcePool, Tier
from plugin_pool.waiter import ThreadWaiter

IDS = [f"e{number}" for number in range(5)]
LEVELS = st.dictionaries(st.sampled_from("xy"), st.integers(1, 2), max_size=2)
KINDS = st.fixed_dictionaries({"type": st.sampled_from("ab"), "count": st.integers(1, 2), "capabilities": LEVELS})
NAMED = st.fixed_dictionaries({"ids": st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True)})
LINES = st.lists(st.one_of(KINDS, KINDS, NAMED), min_size=1, max_size=2)


class Listed(ThreadWaiter):
    """Waits without a thread; notes when it is woken."""

    woken = 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        self.woken += 1
        return True


class WaitingMachine(RuleBasedStateMachine):
    @initialize(entities=st.lists(st.tuples(st.sampled_from("ab"), LEVELS, st.sampled_from([1, 1, 2])), max_size=5))
    def begin(self, entities: list[tuple[str, dict[str, int], int]]) -> None:
        self.now = 0.0
        self.pool = ResourcePool(clock=lambda: self.now, patience=3.0, aging=2.0)
        self.waiters: dict[str, Listed] = {}
        self.count = 0
        for name, (kind, levels, capacity) in zip(IDS, entities, strict=False):
            self.pool.add_resource({"id": name, "type": kind, "capabilities": levels, "capacity": capacity})

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.pool.close()

    @rule(seconds=st.integers(1, 4))
    def time_goes_by(self, seconds: int) -> None:
        self.now += seconds
        self.pool.sweep()

    @rule(lines=LINES, priority=st.integers(-1, 2), worst=st.sampled_from(list(Tier)), ttl=st.sampled_from([None, 5.0]))
    def ask(self, lines: Any, priority: int, worst: Tier, ttl: float | None) -> None:
        self.count += 1
        waiter = Listed(
            f"t{self.count}",
            self.pool.prepare(lines),
            priority=priority,
            ttl=ttl,
            until=max(worst, Tier.BUSY, key=rank),
        )
        if self.pool._ask(waiter, None):
            self.waiters[waiter.task_id] = waiter
        else:
            assert waiter.settled
            assert waiter.lease or rank(waiter.refused) > rank(waiter.until)

    @precondition(lambda self: self.pool._stock.leases)
    @rule(data=st.data(), lines=LINES)
    def ask_for_more(self, data: st.DataObject, lines: Any) -> None:
        lease = self.pool._stock.leases[data.draw(st.sampled_from(sorted(self.pool._stock.leases)))]
        waiter = Listed(lease.task_id, self.pool.prepare(lines), extends=lease)
        before = lease.resources
        try:
            if self.pool._ask(waiter, None):
                self.waiters[waiter.task_id] = waiter
        except DeadlockError:
            assert lease.resources == before
        except InvalidRequestError:
            assert lease.task_id in self.waiters

    @precondition(lambda self: self.pool._stock.leases)
    @rule(data=st.data(), reason=st.sampled_from(list(ReleaseReason)))
    def release(self, data: st.DataObject, reason: ReleaseReason) -> None:
        task = data.draw(st.sampled_from(sorted(self.pool._stock.leases)))
        assert self.pool.release_resources(task, reason)

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiter = self.waiters.pop(data.draw(st.sampled_from(sorted(self.waiters))))
        self.pool._abandon(waiter)
        assert waiter.task_id not in self.pool._line.waiters

    @rule(name=st.sampled_from(IDS), kind=st.sampled_from("ab"), levels=LEVELS)
    def add(self, name: str, kind: str, levels: dict[str, int]) -> None:
        if name not in self.pool._stock.entities:
            self.pool.add_resource({"id": name, "type": kind, "capabilities": levels})

    @rule(
        name=st.sampled_from(IDS),
        call=st.sampled_from(["remove_resource", "repair_resource", "quarantine_resource", "drain"]),
    )
    def change(self, name: str, call: str) -> None:
        if name in self.pool._stock.entities:
            try:
                getattr(self.pool, call)(name)
            except ResourceUnavailableError:
                assert self.pool.get_resource(name).tasks

    @invariant()
    def who_was_served_or_sent_away_knows_it(self) -> None:
        for task, waiter in list(self.waiters.items()):
            assert waiter.settled == (waiter.woken == 1) == (task not in self.pool._line.waiters)
            assert waiter.woken <= 1
            if waiter.settled:
                del self.waiters[task]
        assert self.pool._line.waiters.keys() == self.waiters.keys()
        assert self.pool.get_status_report().waiting == len(self.waiters)

    @invariant()
    def nothing_idles_that_somebody_could_use(self) -> None:
        line = self.pool._line
        for waiter in self.pool._line.waiters.values():
            own = waiter.extends.entities if waiter.extends else ()
            assert not line.plan(waiter.request, waiter.key, own).satisfied, waiter.task_id

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        for waiter in self.pool._line.waiters.values():
            own = waiter.extends.entities if waiter.extends else ()
            assert rank(self.pool._stock.planner.tier(waiter.request, own)) <= rank(waiter.until), waiter.task_id

    @invariant()
    def each_entity_has_the_holders_that_hold_it(self) -> None:
        stock = self.pool._stock
        for entity in stock.entities.values():
            assert len(set(entity.holders)) == len(entity.holders) <= entity.group.capacity
            assert set(entity.holders) == {one for one in stock.leases.values() if entity in one.entities}
        for group in stock.index.groups:
            assert set(group.bag) == {one for one in stock.entities.values() if one.group is group and one.has_room}
            assert group.room == len(list(group.bag))

    @invariant()
    def no_queue_is_forgotten_or_left_behind(self) -> None:
        line = self.pool._line
        assert {queue for group in self.pool._stock.index.groups for queue in group.waiting} <= set(
            line._queues.values()
        )
        assert sum(len(queue.waiters) for queue in line._queues.values()) == len(line.waiters)
        assert all(queue.waiters for queue in line._queues.values())


def rank(tier: Tier | None) -> int:
    return -1 if tier is None else tier.severity


WaitingMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWaiting = WaitingMachine.TestCase
