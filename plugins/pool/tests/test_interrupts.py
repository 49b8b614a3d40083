"""An interrupt wherever there can be one, in each kind of call, leaves a whole pool; the call happened or not."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import dis
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

import pytest

import plugin_pool
from framework import Bag, Member, ResourceClass
from plugin_pool import ResourcePool, ShortageError, Tier
from plugin_pool.mending import Mending
from plugin_pool.waiter import Waiter

PACKAGE = os.path.dirname(plugin_pool.__file__)
_LOOKS = ("CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME")
"""Instructions after which the interpreter looks for signals; it does before `JUMP_BACKWARD` as well."""


@functools.cache
def places(code: CodeType) -> frozenset[int]:
    """Return the offsets of instructions before which the interpreter may raise of its own accord.

    That is where it looks for signals: after calls, where functions begin, and at jumps back. What is raised after one
    call belongs to it: it may be in the block of a `with` when the next instruction is not.
    """
    table = [(one.start, one.end) for one in dis.Bytecode(code).exception_entries]  # type: ignore[attr-defined]
    found, looked, inside = set(), False, False
    for one in dis.get_instructions(code):
        covered = any(start <= one.offset < end for start, end in table)
        if one.opname.startswith("JUMP_BACKWARD") or (looked and covered >= inside):
            found.add(one.offset)
        looked, inside = one.opname in _LOOKS, covered
    return frozenset(found)


class Interrupt:
    """Raises once while its block is executed, in this thread.

    Args:
        at: Before which instruction, of those that count; -1 for none.
        kind: What.

    Attributes:
        raised: True once it has.
        place: Where that was.
        seen: All instructions before which it might have.
    """

    def __init__(self, at: int, kind: type[BaseException] = KeyboardInterrupt) -> None:
        self._left = at
        self._kind = kind
        self.raised = False
        self.place = ""
        self.seen: list[tuple[CodeType, int]] = []

    def __enter__(self) -> Self:
        sys.settrace(self._call)
        return self

    def __exit__(self, *error: object) -> bool:
        sys.settrace(None)
        return error[0] is not None and self.raised and issubclass(error[0], self._kind)  # type: ignore[arg-type]

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and not self.raised and frame.f_lasti in places(frame.f_code):
            self.seen.append((frame.f_code, frame.f_lasti))
            if not self._left:
                self.raised = True
                name = os.path.basename(frame.f_code.co_filename)
                self.place = f"{name}:{frame.f_lineno} in {frame.f_code.co_qualname} at {frame.f_lasti}"
                raise self._kind
            self._left -= 1
        return self._step


LONG = 60.0


def state(pool: ResourcePool) -> dict[str, Any]:
    """Return who has what, in plain values; entities that are alike are one as good as the other."""
    entities = {one.id: one for one in pool.get_resources()}
    alike = {one.id: f"{one.type} {one.capabilities}" for one in entities.values()}
    return {
        "entities": sorted(
            (alike[one.id], one.status.value, sorted(one.tasks), one.draining) for one in entities.values()
        ),
        "tasks": {
            one.task_id: (sorted(alike[name] for name in one.allocated_resources), one.status, one.expires_in is None)
            for one in pool.get_allocations(1 << 30)
        },
        "waiting": sorted(pool._line.waiters),
    }


def check_whole(pool: ResourcePool) -> None:
    """Assert that everything fits."""
    assert pool._lock.acquire(timeout=LONG), "the lock is left locked"
    pool._lock.release()
    entities, tasks = pool.get_resources(), pool.get_allocations(1 << 30)
    assert not pool._change.broken
    _check_counts(pool, tasks)
    holders: dict[str, set[str]] = {one.id: set() for one in entities}
    for task in tasks:
        assert len(set(task.allocated_resources)) == len(task.allocated_resources)
        for name in task.allocated_resources:
            holders[name].add(task.task_id)
    for one in entities:
        assert set(one.tasks) == holders[one.id], one.id
        assert len(one.tasks) == len(set(one.tasks)) <= one.capacity
    statuses = collections.Counter(one.status.value for one in entities)
    report = dataclasses.asdict(pool.get_status_report())
    assert report.pop("total_resources") == len(entities)
    assert report.pop("waiting") == len(pool._line.waiters)
    assert {name: count for name, count in report.items() if count} == dict(statuses)
    _check_groups(pool)
    _check_line(pool)
    noted = {id(lease) for _, _, lease in pool._expiry._heap}
    assert all(id(one) in noted for one in pool._stock.leases.values() if one.expires is not None)
    assert all((one.ttl is None) == (one.expires is None) for one in pool._stock.leases.values())


def _check_counts(pool: ResourcePool, tasks: list[Any]) -> None:
    counted = pool.get_statistics()
    assert counted.held == len(tasks)
    assert counted.grants == counted.held + sum(counted.releases.values())
    assert min(counted.releases.values()) >= 0
    assert [one.epoch for one in tasks] == sorted({one.epoch for one in tasks})


def _check_groups(pool: ResourcePool) -> None:
    index, everything = pool._stock.index, list(pool._stock.entities.values())
    assert len(index.groups) == index.size == len(index._by_key)
    assert set(pool._stock.out_of_service) == {one for one in everything if one.service}
    for place, group in enumerate(index.groups):
        members = [one for one in everything if one.group is group]
        roomy = [one for one in members if one.has_room]
        found = list(group.bag)
        assert (group.number, group.total, group.room) == (place, len(members), len(roomy))
        assert len(found) == len(set(found))
        assert set(found) == set(roomy)
        assert group.idle == sum(not one.holders for one in roomy)
        assert group.in_service == sum(not one.service for one in members)
        assert index.types[group.shape.type] >> place & 1
        assert all(index.levels[name][level] >> place & 1 for name, level in group.shape.capabilities.items())


def _check_line(pool: ResourcePool) -> None:
    line = pool._line
    queued = [one for queue in line._queues.values() for one in queue.waiters.values()]
    assert sorted(one.task_id for one in queued) == sorted(line.waiters)
    assert all(queue.waiters for queue in line._queues.values())
    waiting = {queue for group in pool._stock.index.groups for queue in group.waiting}
    assert waiting <= set(line._queues.values())
    for waiter in line.waiters.values():
        assert not waiter.settled
        assert not line.plan(waiter.request, waiter.key, waiter.own).satisfied, "it idles while somebody waits for it"
        assert pool._stock.planner.tier(waiter.request, waiter.own).severity <= waiter.until.severity


def check_usable(pool: ResourcePool) -> None:
    """Assert that everything can be given back, and everything given again, each as often as it may be."""
    for task in list(pool._line.waiters):
        pool.dismiss(task)
    for one in pool.get_allocations(1 << 30):
        assert pool.release_resources(one.task_id)
    for entity in pool.get_resources():
        pool.repair_resource(entity.id)
    check_whole(pool)
    room = 0
    for entity in pool.get_resources():
        assert (entity.status.value, entity.tasks) == ("available", ())
        for number in range(entity.capacity):
            assert pool.allocate_resources(f"again-{entity.id}-{number}", {"ids": [entity.id]})
            room += 1
    assert not pool.allocate_resources("one-too-many", {"type": "t"})
    check_whole(pool)
    for one in pool.get_allocations(1 << 30):
        assert pool.release_resources(one.task_id)
    given = 0
    for kind in "tsu":
        while pool.allocate_resources(f"kind-{given}", {"type": kind}):
            given += 1
    assert given == room
    check_whole(pool)


class Keeping:
    """A strategy with bags, which are last in, first out, and find out whether they are told twice."""

    name = "keeping"

    def rank(self, resource_class: ResourceClass) -> float:
        return 0.0

    def bag(self, resource_class: ResourceClass) -> Bag:
        return Heap()

    def granted(self, task_id: str, members: object) -> None:
        assert members

    def released(self, task_id: str, members: object) -> None:
        assert members


class Heap:
    def __init__(self) -> None:
        self.members: list[Member] = []

    def push(self, member: Member) -> None:
        assert member not in self.members
        self.members.append(member)

    def pop(self) -> Member:
        return self.members.pop()

    def discard(self, member: Member) -> None:
        self.members.remove(member)

    def key(self) -> float:
        return 0.0


class Still(Waiter):
    """Waits without a thread."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        return True


class Closed(Still):
    """Waits on a loop that is closed by now."""

    def wake(self) -> bool:
        return False


def fill(pool: ResourcePool) -> None:
    """Four entities of a type, two of which differ, one that tasks share, a gang that holds, and one that is faulty."""
    pool.add_resources([{"id": f"t{one}", "type": "t"} for one in range(3)])
    pool.add_resource({"id": "t3", "type": "t", "capabilities": {"x": 3}})
    pool.add_resource({"id": "s0", "type": "s", "capacity": 3})
    pool.add_resource({"id": "u0", "type": "u"})
    assert pool.allocate_resources("gang", [{"type": "t", "count": 2}, {"type": "s"}])
    assert pool.allocate_resources("short", {"type": "u"})
    pool.release_resources("short", "failed")
    assert pool.allocate_resources("brief", {"type": "s"}, ttl=1000)


def _wait(pool: ResourcePool, task: str, needs: object, kind: type[Waiter] = Still, **more: Any) -> Waiter:
    waiter = kind(task, pool.prepare(needs), **more)
    pool.join(waiter)
    return waiter


def _lined(pool: ResourcePool) -> None:
    _wait(pool, "first", {"type": "t", "count": 3})
    _wait(pool, "second", [{"type": "t"}, {"type": "s", "count": 1}], priority=3, ttl=50.0)
    _wait(pool, "third", {"type": "t", "count": 4}, until=Tier.ERROR, priority=-1)


def _gone(pool: ResourcePool) -> None:
    _wait(pool, "gone", {"type": "t", "count": 4}, Closed, priority=9)
    _lined(pool)


def _extending(pool: ResourcePool) -> None:
    assert pool.allocate_resources("mine", {"type": "t", "capabilities": {"x": 3}})
    lease = pool._stock.leases["mine"]
    pool.join(Still("mine", pool.prepare({"type": "t", "count": 2}), extends=lease))


def _nothing(pool: ResourcePool) -> None:
    return None


def _acquire_late(pool: ResourcePool) -> None:
    with pytest.raises(ShortageError):
        pool.acquire("late", {"type": "t", "count": 4}, timeout=0.0001)


def _acquire_when_given(pool: ResourcePool) -> None:
    """Wait in this thread until another one releases."""
    ended = threading.Event()

    def give() -> None:
        until(lambda: "late" in pool._line.waiters or ended.is_set())
        pool.release_resources("gang")

    other = threading.Thread(target=give)
    other.start()
    try:
        pool.acquire("late", {"type": "t", "count": 4}, ttl=90)
    finally:
        ended.set()
        other.join(LONG)


def _acquire_on_a_loop(pool: ResourcePool) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # say nothing of the interrupt
        waits = asyncio.ensure_future(pool.acquire_async("late", {"type": "t", "count": 4}))
        while not pool._line.waiters and not waits.done():
            await asyncio.sleep(0)
        pool.release_resources("gang")
        await waits

    asyncio.run(main())


def until(condition: Callable[[], bool]) -> None:
    """Let other threads go on until something is so."""
    event = threading.Event()
    for _ in range(int(LONG * 1000)):
        if condition():
            return
        event.wait(0.001)
    raise AssertionError("it did not come about")


def _by_hand(pool: ResourcePool) -> None:
    pool.allocate_resources("new", {"type": "t"})


def _first(pool: ResourcePool) -> str:
    return pool._stock.leases["gang"].resources[0]


CALLS: dict[str, tuple[Callable[[ResourcePool], object], Callable[[ResourcePool], object]]] = {
    "allocate": (_nothing, _by_hand),
    "allocate a gang": (
        _nothing,
        lambda pool: pool.allocate_resources("new", [{"type": "t", "count": 2}, {"type": "s"}]),
    ),
    "allocate for a time": (_nothing, lambda pool: pool.allocate_resources("new", {"type": "t"}, ttl=60)),
    "allocate one by name": (_nothing, lambda pool: pool.allocate_resources("new", {"ids": ["t3"]})),
    "allocate what is not there": (_nothing, lambda pool: pool.allocate_resources("new", {"type": "t", "count": 4})),
    "release": (_by_hand, lambda pool: pool.release_resources("new")),
    "release a gang": (_nothing, lambda pool: pool.release_resources("gang")),
    "release to those that wait": (_lined, lambda pool: pool.release_resources("gang")),
    "release to one that is gone": (_gone, lambda pool: pool.release_resources("gang")),
    "release to one that wants more": (_extending, lambda pool: pool.release_resources("gang")),
    "release who wants more": (_extending, lambda pool: pool.release_resources("mine")),
    "release as failed": (_lined, lambda pool: pool.release_resources("gang", "failed")),
    "release with a faulty one": (_lined, lambda pool: pool.release_resources("gang", faulty=[_first(pool)])),
    "release as cancelled": (_lined, lambda pool: pool.release_resources("gang", "cancelled")),
    "add": (_lined, lambda pool: pool.add_resource({"id": "t9", "type": "t"})),
    "add what is new": (_lined, lambda pool: pool.add_resource({"id": "t9", "type": "t", "capabilities": {"y": 2}})),
    "add many": (
        _lined,
        lambda pool: pool.add_resources(
            [{"id": f"n{one}", "type": "t", "capabilities": {"z": one % 2 + 1}} for one in range(4)]
        ),
    ),
    "remove": (_lined, lambda pool: pool.remove_resource("t3")),
    "repair": (_lined, lambda pool: pool.repair_resource("u0")),
    "quarantine": (_lined, lambda pool: pool.quarantine_resource("t3")),
    "drain": (_lined, lambda pool: pool.drain("t3")),
    "drain all": (_lined, lambda pool: pool.drain()),
    "mark": (_nothing, lambda pool: pool.mark_executing("gang")),
    "renew": (_nothing, lambda pool: pool.renew("gang", 500)),
    "dismiss": (_lined, lambda pool: pool.dismiss("first")),
    "explain": (_lined, lambda pool: pool.explain("first")),
    "acquire": (_nothing, lambda pool: pool.acquire("new", {"type": "t"}, ttl=60)),
    "extend": (_by_hand, lambda pool: pool.extend("new", {"type": "t"})),
    "acquire too late": (_nothing, _acquire_late),
    "acquire when another thread releases": (_nothing, _acquire_when_given),
    "acquire on a loop": (_nothing, _acquire_on_a_loop),
    "expire": (_lined, lambda pool: pool.sweep()),
}


INSTEAD = {"acquire when another thread releases", "acquire on a loop"}
"""Calls that release something for another one, which may come to nothing when that was done."""


def _made(call: str, strategy: Any = "best_fit", path: Path | None = None) -> ResourcePool:
    clock = [100.0]
    make = ResourcePool if path is None else functools.partial(ResourcePool.open, path, grace=None)
    pool = make(strategy=strategy, clock=lambda: clock[0], patience=5.0)
    fill(pool)
    CALLS[call][0](pool)
    if call == "expire":
        clock[0] += 5000.0
    return pool


def _settled(pool: ResourcePool, call: str) -> dict[str, Any]:
    if call == "expire":  # if not by the call, then by a thread
        until(lambda: pool.get_allocation("brief") is None)
    check_whole(pool)
    return state(pool)


def _outcomes(call: str, strategy: Any) -> list[dict[str, Any]]:
    """Return how things may be afterwards."""
    found = []
    acts: list[Callable[[ResourcePool], object]] = [_nothing, CALLS[call][1]]
    if call in INSTEAD:
        acts.append(lambda pool: pool.release_resources("gang"))
    for act in acts:
        pool = _made(call, strategy)
        act(pool)
        found.append(_settled(pool, call))
        check_usable(pool)
        pool.close()
    return found


def _moments(call: str, strategy: Any, path: Path | None = None) -> list[int]:
    """Return when to interrupt so that it is before each instruction, the first and the second time."""
    pool = _made(call, strategy, path)
    with Interrupt(-1) as watched:
        CALLS[call][1](pool)
    pool.close()
    times: collections.Counter[object] = collections.Counter()
    found = []
    for moment, place in enumerate(watched.seen):
        times[place] += 1
        if times[place] <= 2:
            found.append(moment)
    return found


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Have whatever fails say where the interrupt was."""
    try:
        yield
    except BaseException as error:
        error.add_note(note)
        raise


def _interrupt_everywhere(call: str, strategy: Any, step: int, kind: type[BaseException]) -> int:
    outcomes, count = _outcomes(call, strategy), 0
    for moment in _moments(call, strategy)[random.Random(call).randrange(step) :: step]:
        pool = _made(call, strategy)
        with Interrupt(moment, kind) as interrupt:
            CALLS[call][1](pool)
        with noted(f"interrupted at {moment}: {interrupt.place}"):
            assert _settled(pool, call) in outcomes
            check_usable(pool)
        pool.close()
        count += interrupt.raised
    return count


STEPS = [pytest.param(17, id="some"), pytest.param(1, id="all", marks=[pytest.mark.slow, pytest.mark.timeout(600)])]


@pytest.mark.filterwarnings("ignore:.*was never awaited")  # an interrupt can come between a coroutine and its `await`
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_anywhere_leaves_a_whole_pool(call: str, step: int) -> None:
    assert _interrupt_everywhere(call, "best_fit", step, KeyboardInterrupt) > 0


@pytest.mark.parametrize("call", ["allocate", "allocate a gang", "release to those that wait", "add many", "drain all"])
def test_so_it_does_with_bags_of_a_strategy(call: str) -> None:
    assert _interrupt_everywhere(call, Keeping(), 3, KeyboardInterrupt) > 0


@pytest.mark.parametrize(
    "call", ["allocate a gang", "release to those that wait", "release as failed", "add", "drain all"]
)
def test_while_it_is_mended_it_may_be_interrupted_again(call: str) -> None:
    outcomes, moments, count = _outcomes(call, "best_fit"), _moments(call, "best_fit"), 0
    rng = random.Random(call)
    for moment in moments[:: len(moments) // 12 + 1]:
        pool = _made(call)
        again = Interrupt(rng.randrange(100))

        def enter(frame: FrameType, event: str, argument: Any, again: Interrupt = again) -> None:
            if event == "call" and frame.f_code is Mending.mend.__code__:  # the first one has ended the tracing
                sys.setprofile(None)
                sys.settrace(again._call)

        sys.setprofile(enter)
        try:
            with Interrupt(moment):
                CALLS[call][1](pool)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
            sys.settrace(None)
        with noted(f"interrupted at {moment}, and then in {again.place}"):
            assert pool.get_status_report().total_resources
            assert _settled(pool, call) in outcomes
            check_usable(pool)
        pool.close()
        count += again.raised
    assert count > 0


def _is_kept(pool: Any) -> bool:
    """Return True once a new snapshot was written, and what was before it removed."""
    return not pool.persistence.degraded and pool._keeper._thread is None


@pytest.mark.parametrize(
    "call", ["allocate", "allocate for a time", "release as failed", "add many", "drain all", "remove"]
)
def test_what_is_kept_goes_on(call: str, tmp_path: Path) -> None:
    moments = _moments(call, "best_fit", tmp_path / "moments")
    for number, moment in enumerate(moments[3 :: len(moments) // 10 + 1]):
        path = tmp_path / str(number)
        pool = _made(call, path=path)
        with Interrupt(moment) as interrupt:
            CALLS[call][1](pool)
        pool.release_resources("gang")  # what is written now must not contradict what was
        for later in range(3):
            pool.allocate_resources(f"later-{later}", {"type": "t"})
        until(functools.partial(_is_kept, pool))
        check_whole(pool)
        held = state(pool)
        shutil.copytree(path, tmp_path / f"killed-{number}")
        pool.close()
        for each in (path, tmp_path / f"killed-{number}"):
            with ResourcePool.open(each, grace=None) as found:
                check_whole(found)
                now = state(found)
                assert (now["entities"], now["tasks"]) == (held["entities"], held["tasks"]), interrupt.place
                check_usable(found)


class Storm:
    """Threads that use a pool, and one that interrupts the main thread by SIGINT, at random times, when told to."""

    def __init__(self, pool: ResourcePool) -> None:
        self.pool = pool
        self.served: collections.Counter[int] = collections.Counter()
        self._ended = threading.Event()
        self._reader, self._writer = os.pipe()
        self._threads = [threading.Thread(target=self._interrupt)]
        self._threads += [threading.Thread(target=self._work, args=[one]) for one in (1, 2)]
        for one in self._threads:
            one.start()

    def ask(self) -> None:
        """Have the main thread interrupted once, soon."""
        os.write(self._writer, b"x")

    def end(self) -> None:
        self._ended.set()
        os.close(self._writer)
        for one in self._threads:
            one.join(LONG)
            assert not one.is_alive(), "a task waits that was forgotten"

    def _interrupt(self) -> None:
        pause, rng = threading.Event(), random.Random(1)
        while os.read(self._reader, 1):
            pause.wait(rng.random() * 0.002)
            os.kill(os.getpid(), signal.SIGINT)

    def _work(self, number: int) -> None:
        while not self._ended.is_set():
            with self.pool.acquire(f"worker-{number}", [{"type": "t", "count": number}], timeout=LONG):
                self.served[number] += 1


def _use(pool: ResourcePool) -> None:
    pool.acquire("main", [{"type": "t", "count": 3}, {"type": "s"}], ttl=1000, timeout=LONG).release()
    pool.allocate_resources("other", {"type": "s"})
    pool.mark_executing("other")
    pool.release_resources("other", "failed", faulty=[])


def brave(path: str, rounds: int) -> None:
    """Use a kept pool in the main thread, which is interrupted so many times."""
    pool = ResourcePool.open(path)
    pool.add_resources([{"id": f"t{one}", "type": "t"} for one in range(4)])
    pool.add_resource({"id": "s0", "type": "s", "capacity": 3})
    storm = Storm(pool)
    for _ in range(rounds):
        try:
            storm.ask()
            while True:
                _use(pool)
        except KeyboardInterrupt:
            assert "main" not in pool._line.waiters
            for task in ("main", "other"):
                pool.release_resources(task)
    storm.end()
    assert min(storm.served[1], storm.served[2]) > 0
    check_whole(pool)
    until(functools.partial(_is_kept, pool))
    held = state(pool)
    pool.close()
    with ResourcePool.open(path) as again:
        assert state(again) == held
        check_usable(again)


@pytest.mark.parametrize("rounds", [100, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_real_interrupts_at_random_times_lose_nothing(tmp_path: Path, rounds: int) -> None:
    ended = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "pool"), str(rounds)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


if __name__ == "__main__":
    brave(sys.argv[1], int(sys.argv[2]))
