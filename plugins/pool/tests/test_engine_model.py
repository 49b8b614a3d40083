"""Any mix of calls, with any strategy: all that a pool remembers is what it would be if worked out anew."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from framework import Hint
from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool import DeadlockError, ReleaseReason, ResourcePool, Tier
from plugin_pool.entity import IN_SERVICE, Entity
from plugin_pool.group import Group
from plugin_pool.index import Signature
from plugin_pool.request import Request
from plugin_pool.waiter import Waiter

pytest.importorskip("plugin_strategies")
from plugin_strategies import (  # only where that plugin is in the tree
    Affinity,
    BestFit,
    LeastConnections,
    Priority,
    ResourceBased,
    RoundRobin,
    TwoChoices,
)

IDS = [f"e{number}" for number in range(7)]
PATIENCE = 3.0
# few different ones, so that most classes have several entities
LEVELS: st.SearchStrategy[dict[str, int]] = st.sampled_from([{}, {}, {}, {"x": 1}, {"x": 2}, {"x": 1, "y": 2}])
LABELS: st.SearchStrategy[dict[str, str]] = st.sampled_from([{}, {}, {}, {"zone": "m"}, {"zone": "n"}])
ENTITY = st.fixed_dictionaries(
    {
        "type": st.sampled_from("aab"),
        "capabilities": LEVELS,
        "labels": LABELS,
        "capacity": st.sampled_from([1, 1, 1, 1, 2, 3]),
    }
)
KINDS = st.fixed_dictionaries(
    {
        "type": st.sampled_from("aaaaabbbc"),
        "count": st.sampled_from([1, 2, 1, 2, 3]),
        "capabilities": LEVELS,
        "labels": LABELS,
        "optional": st.sampled_from([False, False, False, False, True]),
    }
)
NAMES = st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True)
NAMED = st.fixed_dictionaries({"ids": NAMES, "optional": st.sampled_from([False, False, True])})
LINES = st.lists(st.one_of(KINDS, KINDS, KINDS, KINDS, NAMED), min_size=1, max_size=2)
SINGLE = st.fixed_dictionaries({"type": st.sampled_from("ab"), "capabilities": LEVELS}).map(lambda one: [one])
PICK = st.integers(0, 99)
HINTS = st.builds(
    Hint,
    prefer=st.lists(st.sampled_from([*IDS, "nobody"]), min_size=1, max_size=3).map(tuple),
    near=LABELS,
    avoid=st.dictionaries(st.just("zone"), st.frozensets(st.sampled_from("mn")), max_size=1),
)


class Wishing:
    """Hints by the task's number; keeps no bags."""

    name = "wishing"

    def __init__(self, hints: list[Hint]) -> None:
        self.hints = hints

    def rank(self, resource_class: object) -> float:
        return 0.0

    def hint(self, task_id: str) -> Hint | None:
        return self.hints[int(task_id[1:]) % len(self.hints)] if self.hints else None


class Failing(LeastConnections):
    """Has bags that raise some time, and hints that are none some time."""

    def __init__(self, after: int) -> None:
        self.left = after

    def fail(self) -> None:
        self.left -= 1
        if self.left < 0:
            msg = "broken"
            raise RuntimeError(msg)

    def bag(self, resource_class: Any) -> Any:
        return _FailingBag(super().bag(resource_class), self.fail)

    def hint(self, task_id: str) -> Any:
        return None if self.left > 5 else "nonsense"


class _FailingBag:
    def __init__(self, bag: Any, fail: Callable[[], None]) -> None:
        self.bag, self.fail = bag, fail

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> Any:
            self.fail()
            return getattr(self.bag, name)(*arguments)

        return call


MAKERS: list[Callable[[], Any]] = [
    BestFit,
    LeastConnections,
    Priority,
    ResourceBased,
    RoundRobin,
    lambda: TwoChoices(seed=1),
    lambda: Affinity(sticky=True),
    lambda: Affinity(anti_affinity="zone", spread="zone", separator="0"),
]
STRATEGIES = st.one_of(
    st.sampled_from(["first_fit", "best_fit"]),
    st.sampled_from(MAKERS).map(lambda make: make()),
    st.lists(HINTS, min_size=1, max_size=4).map(Wishing),
    st.integers(0, 60).map(Failing),
)


class Listed(Waiter):
    """Waits without a thread; some are gone when they are woken."""

    woken = 0
    here = True

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        self.woken += 1
        return self.here or self.lease is None


class EngineMachine(RuleBasedStateMachine):
    @initialize(strategy=STRATEGIES, entities=st.lists(ENTITY, min_size=4, max_size=7), late=st.booleans())
    def begin(self, strategy: Any, entities: list[dict[str, Any]], late: bool) -> None:
        self.now = 0.0
        self.pool = ResourcePool(strategy=strategy, clock=lambda: self.now, patience=PATIENCE, aging=2.0)
        self.stock, self.line, self.index = self.pool._stock, self.pool._line, self.pool._index
        self.waiters: dict[str, Listed] = {}
        self.count = 0
        if not late:
            self.pool.prepare({"type": "a"})
        self.pool.add_resources([{"id": name, **one} for name, one in zip(IDS, entities, strict=False)])

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.pool.close()

    def task(self) -> str:
        self.count += 1
        return f"t{self.count}"

    @rule(seconds=st.integers(1, 5))
    def time_goes_by(self, seconds: int) -> None:
        self.now += seconds
        self.pool.sweep()

    @rule(lines=st.one_of(SINGLE, LINES), ttl=st.sampled_from([None, None, 4.0]))
    def allocate(self, lines: Any, ttl: float | None) -> None:
        task, before = self.task(), dict(self.stock.leases)
        tier = self.pool.check_resource_requirements(lines).tier
        found = self.pool.allocate_resources(task, lines, ttl=ttl)
        if not found:
            assert self.stock.leases == before
            assert found.missing_resources
            assert found.tier is tier is self.tier(self.pool.prepare(lines), ())
            return
        names = [one.id for one in self.stock.leases[task].entities]
        assert list(found.allocated_resources) == names
        assert len(set(names)) == len(names) >= self.pool.prepare(lines).units

    @rule(lines=SINGLE, priority=st.integers(-1, 2))
    def ask_for_one(self, lines: Any, priority: int) -> None:
        self.put(Listed(self.task(), self.pool.prepare(lines), priority=priority))

    @rule(
        lines=LINES,
        priority=st.integers(-1, 2),
        worst=st.sampled_from([Tier.BUSY, Tier.ERROR, Tier.IMPOSSIBLE]),
        here=st.sampled_from([True, True, True, False]),
    )
    def ask(self, lines: Any, priority: int, worst: Tier, here: bool) -> None:
        waiter = Listed(self.task(), self.pool.prepare(lines), priority=priority, until=worst)
        waiter.here = here
        self.put(waiter)

    def put(self, waiter: Listed) -> None:
        if self.pool._ask(waiter, None):
            self.waiters[waiter.task_id] = waiter
        else:
            assert waiter.settled

    @precondition(lambda self: self.stock.leases)
    @rule(pick=PICK, lines=LINES)
    def ask_for_more(self, pick: int, lines: Any) -> None:
        lease = self.stock.leases[_picked(self.stock.leases, pick)]
        before = lease.resources
        try:
            self.put(Listed(lease.task_id, self.pool.prepare(lines), extends=lease))
        except DeadlockError:
            assert lease.resources == before
        except InvalidRequestError:
            assert lease.task_id in self.waiters

    @precondition(lambda self: self.waiters)
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        self.pool._abandon(self.waiters.pop(_picked(self.waiters, pick)))

    @precondition(lambda self: self.stock.leases)
    @rule(
        pick=PICK,
        reason=st.sampled_from([*[ReleaseReason.COMPLETED] * 8, *ReleaseReason]),
        fault=st.sampled_from([False, False, False, True]),
    )
    def release(self, pick: int, reason: ReleaseReason, fault: bool) -> None:
        task = _picked(self.stock.leases, pick)
        faulty = self.stock.leases[task].resources[:1] if fault else None
        assert self.pool.release_resources(task, reason, faulty=faulty)

    @precondition(lambda self: len(self.stock.leases) > 1)
    @rule(pick=PICK, most=st.integers(1, 4))
    def complete(self, pick: int, most: int) -> None:
        for _ in range(min(most, len(self.stock.leases))):
            assert self.pool.release_resources(_picked(self.stock.leases, pick))

    @precondition(lambda self: self.stock.leases)
    @rule(pick=PICK, call=st.sampled_from(["mark_executing", "mark_blocked", "mark_deployed"]))
    def mark(self, pick: int, call: str) -> None:
        assert getattr(self.pool, call)(_picked(self.stock.leases, pick))

    @rule(given=st.dictionaries(st.sampled_from(IDS), ENTITY, min_size=1, max_size=3), together=st.booleans())
    def add(self, given: dict[str, dict[str, Any]], together: bool) -> None:
        new = [{"id": name, **one} for name, one in given.items() if name not in self.stock.entities]
        if together:
            assert self.pool.add_resources(new) == len(new)
        else:
            for one in new:
                self.pool.add_resource(one)

    @rule(
        name=st.sampled_from(IDS),
        call=st.sampled_from([*["repair_resource"] * 4, "remove_resource", "quarantine_resource", "drain"]),
    )
    def change(self, name: str, call: str) -> None:
        if name in self.stock.entities:
            try:
                getattr(self.pool, call)(name)
            except ResourceUnavailableError:
                assert self.pool.get_resource(name).tasks

    @rule(name=st.sampled_from(IDS), cpu=st.floats(0, 1))
    def measure(self, name: str, cpu: float) -> None:
        if name in self.stock.entities:
            self.pool.report_load(name, cpu=cpu)

    @invariant()
    def entities_are_counted_exactly(self) -> None:
        for group in self.index.groups:
            own = [one for one in self.stock.entities.values() if one.group is group]
            free = [one for one in own if one.has_room]
            assert group.total == len(own)
            assert group.in_service == len([one for one in own if one.service == IN_SERVICE])
            assert group.idle == len([one for one in free if not one.holders])
            assert group.room == len(free) == len(list(group.bag))
            assert set(group.bag) == set(free)
            if group.stack is not None:
                assert len(group.stack.discarded) == len(group.stack.entities) - len(free)
        out = {one for one in self.stock.entities.values() if one.service != IN_SERVICE}
        assert set(self.stock.out_of_service) == out
        statuses = [one.status.value for one in self.stock.entities.values()]
        report = self.pool.get_status_report()
        assert report.total_resources == len(statuses)
        for status in ("available", "deployed", "busy", "blocked", "error", "released"):
            assert getattr(report, status) == statuses.count(status), status

    @invariant()
    def who_holds_and_what_is_held_agree(self) -> None:
        for entity in self.stock.entities.values():
            assert len(set(entity.holders)) == len(entity.holders) <= entity.group.capacity
            assert set(entity.holders) == {one for one in self.stock.leases.values() if entity in one.entities}
        for lease in self.stock.leases.values():
            assert len(set(lease.entities)) == len(lease.entities)
            assert all(self.stock.entities.get(one.id) is one for one in lease.entities)

    @invariant()
    def what_is_remembered_of_signatures_is_true(self) -> None:
        for signature in self.index._signatures.values():
            self.index.refresh(signature)
            fitting = [one for one in self.index.groups if _fits(one, signature)]
            assert set(signature.groups) == set(fitting)
            assert list(signature.with_room()) == [one for one in signature.groups if one.room]
            ranks = [(one.rank, one.number) for one in signature.groups]
            assert ranks == sorted(ranks)

    @invariant()
    def what_is_remembered_of_requests_is_true(self) -> None:
        for request in [*self.pool._requests._known.values()][:20]:
            assert self.stock.planner.tier(request) is self.tier(request, ())

    @invariant()
    def everybody_who_waits_waits_for_a_reason(self) -> None:
        gangs = [one for one in self.line.waiters.values() if one.request.units > 1]
        patient = sorted([one for one in gangs if self.now - one.since >= PATIENCE], key=lambda one: one.key)
        for waiter in self.line.waiters.values():
            before = [one.request for one in patient if one.key < waiter.key]
            plan = self.stock.planner.plan(waiter.request, before=before, aside=waiter.own)
            assert not plan.satisfied, waiter.task_id
            assert self.tier(waiter.request, waiter.own).severity <= waiter.until.severity
            self.is_explained(waiter)

    def is_explained(self, waiter: Waiter) -> None:
        found = self.pool.explain(waiter.task_id)
        assert found.tier is self.tier(waiter.request, waiter.own)
        assert found.sentence
        assert found.found < found.needed or found.tier is Tier.FREE
        assert not {one.id for one in found.blockers} & set(found.held)
        if found.tier is Tier.BUSY:
            assert found.blockers
            full = {one.id for one in self.stock.entities.values() if one.service == IN_SERVICE and not one.has_room}
            assert {one.id for one in found.blockers} <= full - set(found.held)
            assert len({one.id for one in found.blockers}) <= found.blocked <= len(full - set(found.held))
        if found.tier is Tier.ERROR:
            out = {one.id for one in self.stock.entities.values() if one.service != IN_SERVICE}
            assert found.blockers
            assert {one.id for one in found.blockers} <= out - set(found.held)
            assert len(found.blockers) <= found.blocked <= len(out - set(found.held))

    @invariant()
    def queues_and_waiters_agree(self) -> None:
        for task, waiter in list(self.waiters.items()):
            assert waiter.woken <= 1
            assert waiter.settled == (task not in self.line.waiters) == (waiter.woken == 1)
            if waiter.settled:
                del self.waiters[task]
        assert self.line.waiters.keys() == self.waiters.keys()
        queues = set(self.line._queues.values())
        assert {task for one in queues for task in one.waiters} == set(self.line.waiters)
        for queue in queues:
            assert queue.head == queue.first.key == min(one.key for one in queue.waiters.values())
        for group in self.index.groups:
            fitting = {one for one in queues if any(_fits(group, line.signature) for line in one.request.lines)}
            assert group.waiting == fitting or (not group.total and group.waiting <= fitting)
        assert self.line._gangs == {one for one in queues if one.request.units > 1}
        assert {one for some in self.line._by_name.values() for one in some} == {
            one for one in queues if one.request.named
        }

    def tier(self, request: Request, own: tuple[Entity, ...]) -> Tier:
        """Return the tier of a request by trying all assignments."""
        tests: list[tuple[Tier, Callable[[Entity], bool]]] = [
            (Tier.FREE, lambda one: one.has_room),
            (Tier.BUSY, lambda one: one.service == IN_SERVICE),
            (Tier.ERROR, lambda one: True),
        ]
        for tier, there in tests:
            entities = [one for one in self.stock.entities.values() if there(one) and one not in own]
            if _assignable(request, entities):
                return tier
        return Tier.IMPOSSIBLE


def _picked(names: Collection[str], pick: int) -> str:
    return sorted(names)[pick % len(names)]


def _fits(group: Group, signature: Signature) -> bool:
    shape = group.shape
    return (
        shape.type == (signature.type or shape.type)
        and all(shape.capabilities.get(name, 0) >= level for name, level in signature.capabilities)
        and all(shape.labels.get(name) == value for name, value in signature.labels)
    )


def _assignable(request: Request, entities: list[Entity]) -> bool:
    """Return whether each unit can have an entity of its own, by a plain bipartite matching of units and entities."""
    units: list[list[Entity]] = []
    for line in request.named:
        units += [
            [one for one in entities if one.id == name and _fits(one.group, line.signature)]
            for name in line.requirement.ids
        ]
    for line in request.lines:
        units += [[one for one in entities if _fits(one.group, line.signature)]] * line.units
    taken: dict[Entity, int] = {}

    def place(unit: int, seen: set[Entity]) -> bool:
        for one in units[unit]:
            if one not in seen:
                seen.add(one)
                if one not in taken or place(taken[one], seen):
                    taken[one] = unit
                    return True
        return False

    return all(place(unit, set()) for unit in range(len(units)))


EngineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestEngine = EngineMachine.TestCase


def _walk(seed: int, steps: int) -> None:
    """Take random steps without looking for the shortest way to a failure: more tasks hold and wait at once."""
    rng = random.Random(seed)
    machine: Any = EngineMachine()

    def entity() -> dict[str, Any]:
        levels, zone = rng.choice([{}, {}, {}, {"x": 1}, {"x": 2}]), rng.choice([{}, {}, {"zone": "m"}])
        return {
            "type": rng.choice("aaab"),
            "capabilities": levels,
            "labels": zone,
            "capacity": rng.choice([1, 1, 1, 2]),
        }

    def needs() -> dict[str, Any]:
        if rng.random() < 0.1:
            return {"ids": rng.sample(IDS, rng.choice([1, 2])), "optional": rng.random() < 0.3}
        fields = {name: value for name, value in entity().items() if name != "capacity"}
        return {**fields, "count": rng.choice([1, 1, 2, 3]), "optional": rng.random() < 0.1}

    def lines() -> list[dict[str, Any]]:
        return [needs() for _ in range(rng.choice([1, 1, 2]))]

    def pick() -> int:
        return rng.randrange(1000)

    wishes = [Hint(prefer=tuple(rng.sample(IDS, 2))) for _ in range(3)]
    makers: list[Callable[[], Any]] = [lambda: "best_fit", lambda: Wishing(wishes), lambda: Failing(pick()), *MAKERS]
    machine.begin(strategy=rng.choice(makers)(), entities=[entity() for _ in IDS], late=rng.random() < 0.5)
    reasons, tiers = list(ReleaseReason), [Tier.BUSY, Tier.ERROR, Tier.IMPOSSIBLE]
    calls = ["repair_resource"] * 5 + ["remove_resource", "quarantine_resource", "drain"]
    marks = ["mark_executing", "mark_blocked", "mark_deployed"]
    rules: list[tuple[int, Callable[[], object]]] = [
        (4, lambda: machine.allocate(lines=lines(), ttl=rng.choice([None, None, 4.0]))),
        (3, lambda: machine.ask(lines(), rng.randint(-1, 2), rng.choice(tiers), rng.random() < 0.8)),
        (2, lambda: machine.ask_for_more(pick(), lines()) if machine.stock.leases else None),
        (4, lambda: machine.complete(pick(), rng.randint(1, 3)) if machine.stock.leases else None),
        (1, lambda: machine.release(pick(), rng.choice(reasons), rng.random() < 0.3) if machine.stock.leases else None),
        (1, lambda: machine.mark(pick(), rng.choice(marks)) if machine.stock.leases else None),
        (1, lambda: machine.give_up(pick()) if machine.waiters else None),
        (2, lambda: machine.add({rng.choice(IDS): entity() for _ in range(2)}, rng.random() < 0.5)),
        (3, lambda: machine.change(rng.choice(IDS), rng.choice(calls))),
        (2, lambda: machine.time_goes_by(rng.randint(1, 4))),
        (1, lambda: machine.measure(rng.choice(IDS), rng.random())),
    ]
    weights, steps_of = [one for one, _ in rules], [one for _, one in rules]
    try:
        for step in rng.choices(steps_of, weights, k=steps):
            step()
            for name in INVARIANTS:
                getattr(machine, name)()
    finally:
        machine.teardown()


INVARIANTS = (
    "entities_are_counted_exactly",
    "who_holds_and_what_is_held_agree",
    "what_is_remembered_of_signatures_is_true",
    "what_is_remembered_of_requests_is_true",
    "queues_and_waiters_agree",
    "everybody_who_waits_waits_for_a_reason",
)


@pytest.mark.parametrize("seed", range(30))
def test_a_random_walk(seed: int) -> None:
    _walk(seed, 80)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_long_random_walks() -> None:
    for seed in range(1000, 1200):
        _walk(seed, 150)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_engine_for_long() -> None:
    long = settings(max_examples=200, stateful_step_count=80, deadline=None)
    run_state_machine_as_test(EngineMachine, settings=long)
