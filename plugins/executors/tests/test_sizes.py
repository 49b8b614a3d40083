"""How pools find their size: the climbing itself on made-up work, and real pools that follow it."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import InvalidRequestError
from plugin_executors import ConcurrencyManager, ExecutorsSettings
from plugin_executors.bounds import most_for
from plugin_executors.climbing import HillClimb
from plugin_executors.process_pool import ProcessPool
from plugin_executors.sizer import Sizer, attach
from plugin_executors.threads import ThreadPool
from plugin_executors.worker_pool import WorkerPool

CURVES: dict[str, Callable[[int], float]] = {
    "sleep": lambda workers: 200.0 * workers,
    "hash": lambda workers: 7000.0 * min(workers, 2.2),
    "pure Python": lambda workers: 1900.0,
    "thrashing": lambda workers: 1000.0 * workers if workers <= 3 else 3000.0 / (workers - 2),
}


@pytest.mark.parametrize("curve", CURVES)
@given(noise=st.lists(st.floats(0.98, 1.02), min_size=40, max_size=40), size=st.integers(1, 64))
def test_it_comes_within_a_tenth_of_the_best_and_stays_there(curve: str, noise: list[float], size: int) -> None:
    rate = CURVES[curve]
    climb, rates = HillClimb(size), []
    for factor in noise:
        rates.append(rate(size))
        size = climb.next(size, rate(size) * factor, least=1, most=64)
        assert 1 <= size <= 64
    best = max(map(rate, range(1, 65)))
    assert sum(rates[20:]) / len(rates[20:]) >= 0.9 * best, rates


@given(bounds=st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64)), min_size=1), rate=st.floats(0.1, 1e6))
def test_it_keeps_to_bounds_that_change(bounds: list[tuple[int, int]], rate: float) -> None:
    climb, size = HillClimb(8), 8
    for pair in bounds:
        size = climb.next(size, rate, least=min(pair), most=max(pair))
        assert min(pair) <= size <= max(pair)


def test_it_shrinks_while_a_quota_throttles_unless_that_costs_work() -> None:
    climb, size = HillClimb(8), 8
    for _ in range(30):
        size = climb.next(size, 1000.0, least=1, most=64, throttled=True)
        assert size <= 8
    assert size <= 2
    climb, size, sizes = HillClimb(8), 8, []
    for _ in range(60):
        size = climb.next(size, 200.0 * size, least=1, most=64, throttled=True)
        sizes.append(size)
    assert sum(sizes[40:]) / 20 > 50


def test_it_looks_again_when_the_work_changes() -> None:
    climb, size = HillClimb(4), 4
    for _ in range(40):
        size = climb.next(size, 1900.0, least=1, most=64)
    assert size <= 2
    for _ in range(20):
        size = climb.next(size, 200.0 * size, least=1, most=64)
    assert size >= 32


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_pool_grows_with_work_that_sleeps_and_shrinks_when_it_is_idle() -> None:
    pool = ThreadPool("pool", 2, idle_s=0.01)
    sizer = Sizer(pool, lambda: 16)
    attach(sizer, pool)
    enough = threading.Event()
    with pool.map(lambda _: time.sleep(0.002), iter(int, 1)) as tasks:
        for _ in tasks:
            if pool.workers >= 8:
                enough.set()
                break
    assert enough.is_set()
    pool.idle_s = 0.01
    assert wait_until(lambda: not pool.alive()), "threads that have nothing to do end"
    assert pool.submit(abs, -1).result(60) == 1
    pool.shutdown()


@pytest.mark.parametrize("make", [ThreadPool, ProcessPool])
def test_resizing_interrupts_nothing(make: Any) -> None:
    pool: WorkerPool = make("pool", 4)
    futures = [pool.submit(time.sleep, 0.001) for _ in range(200)]
    for workers in (1, 3, 8, 2):
        pool.resize(workers)
        futures += [pool.submit(time.sleep, 0.001) for _ in range(20)]
    assert [future.result(60) for future in futures] == [None] * 280
    assert wait_until(lambda: len(pool.alive()) <= 2)
    with pytest.raises(InvalidRequestError, match="'pool' got workers=0; the least allowed is 1"):
        pool.resize(0)
    pool.shutdown()
    pool.resize(5)
    assert pool.alive() == []


def test_a_number_is_kept_and_followed_when_it_changes() -> None:
    values: dict[str, Any] = {"default_io_workers": 3, "default_cpu_workers": "auto", "max_total_workers": None}
    manager = ConcurrencyManager(ExecutorsSettings(), lambda name: values[name.rpartition(".")[2]])

    def becomes(workers: int) -> bool:
        def done() -> bool:
            list(manager.map_tasks_in_thread_pool(time.sleep, [0.001] * 100, chunksize=1))
            return manager.thread_pool.workers == workers

        return wait_until(done)

    assert becomes(3)
    values["default_io_workers"] = 5
    assert becomes(5)
    values["max_total_workers"] = 2
    assert becomes(2)
    values["max_total_workers"] = "nonsense"
    list(manager.map_tasks_in_thread_pool(time.sleep, [0.001] * 100, chunksize=1))
    assert manager.thread_pool.workers == 2, "a wrong setting changes nothing"
    manager.close()


def test_memory_pressure_halves_what_adapts() -> None:
    manager = ConcurrencyManager()
    before = manager.thread_pool.workers
    manager.relieve(until_better=True)
    assert manager.thread_pool.workers == max(1, before // 2)
    manager.relieve(until_better=False)
    assert manager.thread_pool.workers == max(1, before // 2), "growing back is left to the work"
    manager.close()


def test_memory_bounds_the_workers() -> None:
    assert most_for("executor.thread", 1, 1 << 60) == 1
    assert most_for("executor.thread", 5, 1 << 60) == 5
    assert most_for("executor.thread", 1, 1) > 5
    pool = ProcessPool("pool", 1)
    pool.submit(abs, -1).result(60)
    assert 1 << 20 < pool.memory_each() < 1 << 30
    pool.shutdown()
