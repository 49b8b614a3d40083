"""A strategy may keep, hint and hear; one that fails is reported, and the pool goes on without it."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from framework import Bag, Hint, Member, ResourceClass
from framework.errors import InvalidRequestError
from plugin_pool import ResourcePool


class Ordered:
    """Keeps entities by a score, the least first; a scan, which is good enough for a test."""

    name = "ordered"

    def __init__(self) -> None:
        self.scores: dict[str, float] = {}
        self.heard: list[tuple[object, ...]] = []

    def rank(self, resource_class: ResourceClass) -> float:
        return 0.0

    def bag(self, resource_class: ResourceClass) -> Bag:
        return _OrderedBag(self)

    def granted(self, task_id: str, members: Sequence[Member]) -> None:
        self.heard.append(("granted", task_id, *[one.id for one in members]))

    def released(self, task_id: str, members: Sequence[Member]) -> None:
        self.heard.append(("released", task_id, *[one.id for one in members]))

    def scored(self, member: Member, scores: Mapping[str, float]) -> None:
        self.scores[member.id] = scores["cpu"]

    def removed(self, member: Member) -> None:
        self.heard.append(("removed", member.id))


class _OrderedBag:
    def __init__(self, strategy: Ordered) -> None:
        self.strategy = strategy
        self.members: list[Member] = []

    def _cost(self, member: Member) -> tuple[float, int, str]:
        return self.strategy.scores.get(member.id, 0.5), member.load, member.id

    def push(self, member: Member) -> None:
        assert member not in self.members
        self.members.append(member)

    def pop(self) -> Member:
        found = min(self.members, key=self._cost)
        self.members.remove(found)
        return found

    def discard(self, member: Member) -> None:
        self.members.remove(member)

    def key(self) -> float:
        return min(self._cost(one)[0] for one in self.members)


class Wishing:
    """Hints what it was told to."""

    name = "wishing"

    def __init__(self, hint: Any) -> None:
        self.wish = hint

    def rank(self, resource_class: ResourceClass) -> float:
        return 0.0

    def hint(self, task_id: str) -> Any:
        return self.wish


def filled(strategy: Any, count: int = 3, **fields: Any) -> ResourcePool:
    pool = ResourcePool(strategy=strategy)
    for number in range(count):
        pool.add_resource({"id": f"e{number}", "type": "t", **fields})
    return pool


def taken(pool: ResourcePool, task_id: str, needs: object = None) -> list[str]:
    return list(pool.allocate_resources(task_id, needs or {"type": "t"}).allocated_resources)


def test_the_bag_says_which_entity_of_a_class() -> None:
    pool = filled(Ordered())
    pool.report_load("e0", cpu=0.9)
    pool.report_load("e2", cpu=0.1)
    assert [taken(pool, str(one)) for one in range(3)] == [["e2"], ["e1"], ["e0"]]
    pool.release_resources("0")
    pool.release_resources("2")
    pool.report_load("e0", cpu=0.0)
    assert taken(pool, "again") == ["e0"]


def test_the_bags_say_which_of_several_classes() -> None:
    pool = ResourcePool(strategy=Ordered())
    for number in range(3):
        pool.add_resource({"id": f"e{number}", "type": "t", "labels": {"number": str(number)}})
    for name, cpu in (("e0", 0.5), ("e1", 0.2), ("e2", 0.3)):
        pool.report_load(name, cpu=cpu)
    assert taken(pool, "gang", {"type": "t", "count": 2}) == ["e1", "e2"]
    assert taken(pool, "single") == ["e0"]


def test_shared_entities_are_seen_with_their_load() -> None:
    pool = filled(Ordered(), 2, capacity=2)
    assert [taken(pool, str(one)) for one in range(4)] == [["e0"], ["e1"], ["e0"], ["e1"]]
    assert pool.get_status_report().available == 0
    pool.release_resources("1")
    assert taken(pool, "next") == ["e1"]


def test_it_hears_what_happens() -> None:
    strategy = Ordered()
    pool = filled(strategy)
    taken(pool, "one", {"type": "t", "count": 2})
    pool.release_resources("one")
    pool.remove_resource("e2")
    assert strategy.heard == [("granted", "one", "e0", "e1"), ("released", "one", "e0", "e1"), ("removed", "e2")]


def test_what_is_out_of_service_is_not_in_the_bag() -> None:
    pool = filled(Ordered())
    pool.quarantine_resource("e0")
    assert taken(pool, "one", {"type": "t", "count": 2}) == ["e1", "e2"]
    pool.release_resources("one", faulty=["e1"])
    pool.repair_resource("e0")
    assert sorted(taken(pool, "two", {"type": "t", "count": 2})) == ["e0", "e2"]


def test_preferred_entities_are_taken_if_they_will_do() -> None:
    pool = filled(Wishing(Hint(prefer=("gone", "e2", "e1"))))
    assert taken(pool, "one") == ["e2"]
    assert taken(pool, "two") == ["e1"]
    assert taken(pool, "three") == ["e0"]
    pool = filled(Wishing(Hint(prefer=("e2",))))
    assert set(taken(pool, "gang", {"type": "t", "count": 2})) == {"e2", "e0"}


def test_a_preferred_entity_is_given_once() -> None:
    """Also where it is the next one anyway."""
    for prefer in (("e0",), ("e1",), ("e1", "e0"), ("e0", "e1", "e2")):
        pool = filled(Wishing(Hint(prefer=prefer)))
        found = taken(pool, "gang", {"type": "t", "count": 2})
        assert len(set(found)) == 2, prefer
        assert len(list(pool._index.groups[0].bag)) == 1
        assert len({*found, *taken(pool, "rest")}) == 3


def test_what_a_stack_lets_go_is_counted_whatever_else_happens() -> None:
    """Also when it is made anew between two that are let go for one task."""
    names = [f"e{number}" for number in range(200)]
    strategy = Wishing(Hint())
    pool = filled(strategy, 200)
    stack: Any = pool._index.groups[0].stack
    for one in range(12):
        strategy.wish = Hint(prefer=tuple(names[-16 * (one + 1) :][:16]))
        taken(pool, str(one), {"type": "t", "count": 16})
        assert len(stack.discarded) == len(stack.entities) - len(list(stack)) >= 0
        assert {entity.id for entity in stack} == {one.id for one in pool.get_resources() if not one.tasks}


def test_a_hint_never_costs_a_task_what_it_requires() -> None:
    pool = ResourcePool(strategy=Wishing(Hint(prefer=("both",), avoid={"zone": frozenset(["a"])})))
    pool.add_resource({"id": "both", "type": "t", "capabilities": {"x": 5, "y": 5}})
    pool.add_resource({"id": "only-x", "type": "t", "capabilities": {"x": 5}, "labels": {"zone": "a"}})
    needs = [{"type": "t", "capabilities": {"x": 1}}, {"type": "t", "capabilities": {"y": 1}}]
    assert set(taken(pool, "task", needs)) == {"both", "only-x"}


def test_labels_that_are_near_come_first_and_avoided_ones_last() -> None:
    pool = ResourcePool(strategy=Wishing(Hint(near={"zone": "b"}, avoid={"zone": frozenset(["a", "x"])})))
    for zone in "abc":
        pool.add_resource({"id": zone, "type": "t", "labels": {"zone": zone}})
    assert [taken(pool, str(one)) for one in range(3)] == [["b"], ["c"], ["a"]]


@pytest.mark.parametrize("method", ["bag", "hint", "granted", "released", "scored", "removed"])
def test_a_method_that_raises_is_reported_once(method: str, caplog: pytest.LogCaptureFixture) -> None:
    strategy = Ordered() if method != "hint" else Wishing(Hint())

    def fail(*_: object) -> None:
        msg = "broken"
        raise RuntimeError(msg)

    setattr(strategy, method, fail)
    pool = filled(strategy)
    for number in range(3):
        taken(pool, str(number))
        if method == "scored":
            pool.report_load("e1", cpu=0.5)
    for number in range(3):
        assert pool.release_resources(str(number))
        pool.remove_resource(f"e{number}")
    told = [one for one in caplog.records if "pool_strategy_failed" in one.getMessage()]
    assert len(told) == 1
    assert "broken" in told[0].getMessage()


_hint: Any = Hint
WRONG_HINTS = ["e1", 7, ("e1",), _hint(prefer="e1"), _hint(near="zone"), _hint(avoid={"zone": "a"})]
WRONG_HINTS += [_hint(prefer=frozenset(["e1"])), _hint(near={"zone": ["a"]}), _hint(near={7: "a"})]


@pytest.mark.parametrize("hint", WRONG_HINTS)
def test_a_hint_that_is_none_is_reported(hint: object, caplog: pytest.LogCaptureFixture) -> None:
    pool = filled(Wishing(hint))
    assert taken(pool, "one", {"type": "t", "count": 3})
    assert "is no hint" in caplog.text


class _Broken(_OrderedBag):
    """Goes wrong in one method, from the second call on."""

    def __init__(self, strategy: Ordered, method: str, answer: object) -> None:
        super().__init__(strategy)
        calls = 0
        good = getattr(self, method)

        def bad(*given: object) -> object:
            nonlocal calls
            calls += 1
            if calls < 2:
                return good(*given)
            if isinstance(answer, Exception):
                raise answer
            return answer

        setattr(self, method, bad)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("push", ValueError("no")),
        ("pop", ValueError("no")),
        ("pop", None),
        ("pop", []),
        ("pop", "e1"),
        ("discard", ValueError("no")),
        ("key", ValueError("no")),
        ("key", float("nan")),
        ("key", "low"),
    ],
)
def test_a_bag_that_fails_is_replaced(method: str, answer: object, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it does, each entity is given to one task at a time, and none is lost."""
    strategy = Ordered()
    setattr(strategy, "bag", lambda _: _Broken(strategy, method, answer))  # noqa: B010  # mypy forbids assigning it
    pool = ResourcePool(strategy=strategy)
    for number in range(6):  # two classes, as only then the bags are asked for their keys
        pool.add_resource({"id": f"e{number}", "type": "t", "labels": {"half": str(number % 2)}})
    rng = random.Random(1)
    held: dict[str, str] = {}
    for number in range(200):
        if held and (len(held) == 6 or rng.random() < 0.4):
            task = rng.choice(sorted(held))
            assert pool.release_resources(task)
            del held[task]
        elif rng.random() < 0.2 and len(held) < 6:
            name = rng.choice(sorted({f"e{one}" for one in range(6)} - set(held.values())))
            pool.quarantine_resource(name)
            pool.repair_resource(name)
        else:
            [found] = taken(pool, f"task-{number}")
            assert found not in held.values()
            held[f"task-{number}"] = found
    assert pool.get_status_report().available == 6 - len(held)
    assert "pool_strategy_failed" in caplog.text


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "high", None, True])
def test_a_score_that_is_no_number_is_refused(score: Any) -> None:
    pool = filled(Ordered())
    with pytest.raises(InvalidRequestError, match=r"The score 'cpu' of 'e0' is .*; a finite number is allowed\."):
        pool.report_load("e0", cpu=score)
    with pytest.raises(InvalidRequestError, match="no resource"):
        pool.report_load("nobody", cpu=0.5)


def test_entities_that_came_before_the_strategy_was_needed_are_kept_by_it() -> None:
    """Also those that are shared, and those that are out of service."""
    pool = filled(Ordered, 3, capacity=2)
    pool.drain("e1")
    assert taken(pool, "one", {"type": "t", "count": 2}) == ["e0", "e2"]
    assert not pool.allocate_resources("two", {"type": "t", "count": 3})
