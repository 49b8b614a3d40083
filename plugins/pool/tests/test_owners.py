"""Whose the leases are that are found when a pool is opened again."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_pool import ResourcePool, TaskResourceAllocation
from plugin_pool.keeping import session
from plugin_pool.keeping.kept import KeptPool

Clock = Callable[[], float]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_for(pool: ResourcePool, status: str | None) -> None:
    """Wait until the entity has a status, or for None until the task holds nothing; a thread ends leases too."""
    until = time.monotonic() + 60
    while True:
        pool.sweep()
        if pool.get_allocation("task") is None if status is None else pool.get_resource("e").status.value == status:
            return
        assert time.monotonic() < until
        time.sleep(0.01)


def left_behind(path: Path, *, ttl: float | None = None, end: str = "os._exit(0)") -> None:
    """Have a process hold something, and end without releasing it."""
    code = f"""
        import os
        from plugin_pool import ResourcePool
        pool = ResourcePool.open({str(path)!r})
        pool.add_resource({{"id": "e", "type": "t"}})
        pool.allocate_resources("task", {{"type": "t"}}, ttl={ttl})
        {end}
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


@pytest.mark.parametrize("end", ["os._exit(0)", "pool.close()"])
def test_what_nobody_knows_ends_after_the_grace(tmp_path: Path, end: str) -> None:
    left_behind(tmp_path, end=end)
    clock = Hand()
    with ResourcePool.open(tmp_path, grace=20, clock=clock) as pool:
        assert pool.get_resource("e").tasks == ("task",)
        clock.now = 19.9
        pool.sweep()
        assert pool.get_allocation("task") is not None
        clock.now = 20.0
        wait_for(pool, None)
        assert pool.get_resource("e").status.value == "error"
    with ResourcePool.open(tmp_path) as again:
        assert again.get_allocation("task") is None
        assert again.get_resource("e").status.value == "error"


def test_a_thread_ends_it_by_itself(tmp_path: Path) -> None:
    left_behind(tmp_path)
    with ResourcePool.open(tmp_path, grace=0.05) as pool:
        wait_for(pool, None)
        assert pool.get_resource("e").status.value == "error"


def test_without_a_grace_it_is_kept(tmp_path: Path) -> None:
    left_behind(tmp_path)
    clock = Hand()
    with ResourcePool.open(tmp_path, grace=None, clock=clock) as pool:
        clock.now = 1e9
        pool.sweep()
        assert pool.get_allocation("task") is not None
        assert pool.get_resource("e").tasks == ("task",)


def test_a_process_that_lives_keeps_what_it_has(tmp_path: Path) -> None:
    pool = ResourcePool.open(tmp_path)
    pool.add_resource({"id": "e", "type": "t"})
    pool.allocate_resources("task", {"type": "t"})
    pool.close()
    clock = Hand()
    with ResourcePool.open(tmp_path, grace=0, clock=clock) as again:
        clock.now = 1e9
        again.sweep()
        assert again.get_allocation("task") is not None


def test_a_look_does_not_shorten_a_lease(tmp_path: Path) -> None:
    """The grace is not recorded, also not in a snapshot, so each who opens it begins anew."""
    left_behind(tmp_path)
    with ResourcePool.open(tmp_path, grace=20) as pool:
        found = pool.get_allocation("task")
        assert found is not None
        assert found.expires_in is not None
        pool._keeper.renew()
    with ResourcePool.open(tmp_path, grace=None) as again:
        found = again.get_allocation("task")
        assert found is not None
        assert found.expires_in is None


def test_owners_are_asked_with_what_they_had(tmp_path: Path) -> None:
    left_behind(tmp_path)
    asked: list[tuple[TaskResourceAllocation, int]] = []
    pool = ResourcePool.open(tmp_path, ask=lambda one: asked.append((one, threading.get_ident())))
    ((found, thread),) = asked
    assert (found.task_id, found.allocated_resources, found.status) == ("task", ("e",), "allocated")
    assert found.epoch
    assert abs(found.since - time.time()) < 3600
    assert thread != threading.get_ident()
    pool.close()


def test_an_owner_that_has_it_keeps_it(tmp_path: Path) -> None:
    left_behind(tmp_path)
    clock = Hand()
    with ResourcePool.open(tmp_path, ask=lambda _: True, grace=0, clock=clock) as pool:
        clock.now = 1e9
        pool.sweep()
        assert pool.get_allocation("task") is not None
        assert pool.get_resource("e").status.value == "deployed"


def test_an_owner_that_lacks_it_has_it_released(tmp_path: Path) -> None:
    left_behind(tmp_path)
    with ResourcePool.open(tmp_path, ask=lambda _: False) as pool:
        assert pool.get_resource("e").status.value == "available"
    with ResourcePool.open(tmp_path) as again:
        assert again.get_resource("e").status.value == "available"


def raises(_: TaskResourceAllocation) -> bool:
    raise RuntimeError("no idea")


@pytest.mark.parametrize(
    "ask",
    [raises, lambda _: None, lambda _: "yes", lambda _: threading.Event().wait()],
    ids=["raises", "none", "text", "late"],
)
def test_no_answer_is_none(tmp_path: Path, ask: Callable[[TaskResourceAllocation], bool | None]) -> None:
    left_behind(tmp_path)
    clock = Hand()
    with ResourcePool.open(tmp_path, ask=ask, ask_timeout=0.2, grace=5, clock=clock) as pool:
        assert pool.get_resource("e").tasks == ("task",)
        clock.now = 5.0
        wait_for(pool, None)


@pytest.mark.parametrize(("answer", "status"), [(True, "deployed"), (False, "available"), (None, "error")])
def test_who_did_not_know_is_asked_once_more_at_the_end(tmp_path: Path, answer: bool | None, status: str) -> None:
    left_behind(tmp_path)
    clock = Hand()
    answers = iter([None, answer])
    with ResourcePool.open(tmp_path, ask=lambda _: next(answers), grace=5, clock=clock) as pool:
        clock.now = 5.0
        pool.sweep()
        wait_for(pool, status)
        clock.now = 1e9
        pool.sweep()
        assert pool.get_resource("e").status.value == status


def test_an_owner_that_renews_is_not_asked_again(tmp_path: Path) -> None:
    left_behind(tmp_path)
    clock = Hand()
    answers = iter([None])
    with ResourcePool.open(tmp_path, ask=lambda _: next(answers), grace=5, clock=clock) as pool:
        assert pool.renew("task", 100)
        clock.now = 50.0
        pool.sweep()
        assert pool.get_allocation("task") is not None
        clock.now = 100.0
        wait_for(pool, None)


def opened_later(path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, **parameters: object) -> KeptPool:
    """Open a pool so many seconds later, by the clock that runs since the machine started."""
    real = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) + seconds)
    return ResourcePool.open(path, **parameters)  # type: ignore[arg-type]


def test_a_time_to_live_goes_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(tmp_path, ttl=1000)
    clock = Hand()
    with opened_later(tmp_path, monkeypatch, 600, clock=clock, grace=0) as pool:
        found = pool.get_allocation("task")
        assert found is not None
        assert found.expires_in is not None
        assert 200 < found.expires_in <= 400
        clock.now = 401.0
        wait_for(pool, None)


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_time_to_live_that_is_over_ends_it_unless_its_owner_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool | None
) -> None:
    left_behind(tmp_path, ttl=1000)
    with opened_later(tmp_path, monkeypatch, 2000, clock=Hand(), ask=lambda _: answer) as pool:
        if answer is not True:
            wait_for(pool, None)
        found = pool.get_allocation("task")
        if answer:
            assert found is not None
            assert found.expires_in == 1000
        else:
            assert found is None
            assert pool.get_resource("e").status.value == ("error" if answer is None else "available")


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_it_does_not_matter_who_sets_the_clock_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    left_behind(tmp_path, ttl=1000)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    with ResourcePool.open(tmp_path, clock=Hand()) as pool:
        found = pool.get_allocation("task")
        assert found is not None
        assert found.expires_in is not None
        assert 500 < found.expires_in <= 1000


@pytest.mark.parametrize(("jump", "least", "most"), [(0, 500, 1000), (400, 100, 600), (1e6, 0, 0), (-1e6, 1000, 1000)])
def test_when_the_machine_was_started_anew_the_clock_counts_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float, least: float, most: float
) -> None:
    left_behind(tmp_path, ttl=1000)
    real = time.time
    monkeypatch.setattr(session, "_boot", lambda: "another start of the machine")
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    with ResourcePool.open(tmp_path, clock=Hand()) as pool:
        found = pool.get_allocation("task")
        assert found is not None
        assert found.expires_in is not None
        assert least <= found.expires_in <= most


def test_a_clock_that_went_back_over_a_start_does_not_begin_a_time_to_live_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, ttl=1000)
    real, hour = time.time, time.clock_gettime
    monkeypatch.setattr(session, "_boot", lambda: "another start of the machine")
    monkeypatch.setattr(time, "time", lambda: real() - 1e6)
    ResourcePool.open(tmp_path, clock=Hand()).close()
    monkeypatch.setattr(time, "clock_gettime", lambda which: hour(which) + 600)
    with ResourcePool.open(tmp_path, clock=Hand()) as pool:
        found = pool.get_allocation("task")
        assert found is not None
        assert found.expires_in is not None
        assert 200 < found.expires_in <= 400


def test_a_sweep_does_not_end_what_another_one_asks_about(tmp_path: Path) -> None:
    left_behind(tmp_path)
    clock, asked, answer = Hand(), threading.Event(), threading.Event()
    calls: list[str] = []

    def ask(allocation: TaskResourceAllocation) -> bool | None:
        calls.append(allocation.task_id)
        if len(calls) == 1:
            return None
        asked.set()
        return answer.wait(60)

    with ResourcePool.open(tmp_path, ask=ask, grace=5, clock=clock, ask_timeout=60) as pool:
        clock.now = 5.0
        sweeps = [threading.Thread(target=pool.sweep) for _ in range(2)]
        for one in sweeps:
            one.start()
        assert asked.wait(60)
        assert pool.get_resource("e").status.value == "deployed"
        answer.set()
        for one in sweeps:
            one.join()
        assert pool.get_resource("e").status.value == "deployed"
        assert len(calls) == 2
