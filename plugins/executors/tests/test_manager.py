"""The manager: one pool of threads and one of processes for a whole program."""

import asyncio
import contextvars
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from framework import Framework
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, SettingsError
from plugin_executors import ConcurrencyManager, ExecutorsSettings

pytestmark = pytest.mark.anyio

word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="unset")
SECTION = "resource_management.concurrency."


def settings(**values: Any) -> Callable[[str], Any]:
    """Return what looks a setting up, as a host does, in values that the caller may change."""
    found: dict[str, Any] = {"default_io_workers": "auto", "default_cpu_workers": "auto", "max_total_workers": None}
    found |= values
    return lambda name: found[name.removeprefix(SECTION)]


@pytest.fixture
def manager() -> Iterator[ConcurrencyManager]:
    manager = ConcurrencyManager(ExecutorsSettings(stop_grace=10))
    yield manager
    manager.close()


def io_task(one: str, two: str = "") -> str:
    return f"{one}-{two}"


def test_the_examples_of_the_guide(manager: ConcurrencyManager) -> None:
    future = manager.run_in_thread_pool(io_task, "one", two="two")
    assert isinstance(future, Future)
    assert future.result(60) == "one-two"
    with pytest.raises(ValueError, match="invalid literal"):
        manager.run_in_thread_pool(int, "no number").result(60)
    assert manager.run_in_process_pool(divmod, 7, 2).result(60) == (3, 1)
    assert list(manager.map_tasks_in_process_pool(abs, [-1, -2, -3, -4, -5])) == [1, 2, 3, 4, 5]
    assert list(manager.map_tasks_in_thread_pool(pow, [2, 3], [3, 2])) == [8, 9]


def test_pools_are_made_when_they_are_used(manager: ConcurrencyManager) -> None:
    before = set(threading.enumerate())
    assert set(threading.enumerate()) == before
    assert manager.metrics()["concurrency_thread_workers"] == 0
    manager.run_in_thread_pool(abs, -1).result(60)
    assert [t.name for t in set(threading.enumerate()) - before] == ["concurrency-thread-1"]
    assert manager.metrics()["concurrency_process_workers"] == 0
    assert manager.metrics()["concurrency_thread_workers"] > 0
    assert manager.thread_pool is manager.thread_pool


def test_context_variables_come_along(manager: ConcurrencyManager) -> None:
    word.set("here")
    assert manager.run_in_thread_pool(word.get).result(60) == "here"
    tasks = manager.map_tasks_in_thread_pool(lambda _: word.get(), range(100))
    word.set("later")
    assert set(tasks) == {"here"}, "as when the map was called"


async def test_the_asynchronous_twins(manager: ConcurrencyManager) -> None:
    word.set("here")
    assert await manager.run_in_thread_pool_async(word.get) == "here"
    assert await manager.run_in_process_pool_async(divmod, 7, 2) == (3, 1)
    with pytest.raises(ValueError, match="invalid literal"):
        await manager.run_in_process_pool_async(int, "no number")
    assert [one async for one in manager.map_tasks_in_process_pool_async(abs, range(-50, 0))] == list(range(50, 0, -1))
    unordered = manager.map_tasks_in_thread_pool_async(abs, range(50), ordered=False, chunksize=1)
    assert sorted([one async for one in unordered]) == list(range(50))


async def test_both_pools_are_executors_for_asyncio(manager: ConcurrencyManager) -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(manager.thread_pool, os.getpid) == os.getpid()
    assert await loop.run_in_executor(manager.process_pool, os.getpid) != os.getpid()


async def test_a_waiting_task_does_not_block_the_loop(manager: ConcurrencyManager) -> None:
    gate = threading.Event()
    tasks = manager.map_tasks_in_thread_pool_async(gate.wait, [60])
    waiting = asyncio.create_task(anext(tasks))
    await asyncio.sleep(0)
    gate.set()  # only possible because the loop runs
    assert await waiting is True
    await tasks.aclose()


async def test_a_map_that_is_late_is_refused_in_time(manager: ConcurrencyManager) -> None:
    gate = threading.Event()
    tasks = manager.map_tasks_in_thread_pool_async(gate.wait, [60], timeout=0.01)
    with pytest.raises(TimeoutError, match="not there in time"):
        await anext(tasks)
    gate.set()


def test_a_number_is_kept_and_the_total_is_shared() -> None:
    numbers = settings(default_io_workers=3, default_cpu_workers=2, max_total_workers=4)
    manager = ConcurrencyManager(setting=numbers)
    assert manager.thread_pool.workers == 3
    assert manager.process_pool.workers == 2
    assert manager.thread_pool.workers == 2, "processes go before threads"
    manager.close()
    manager = ConcurrencyManager(setting=settings(max_total_workers=1))
    assert (manager.thread_pool.workers, manager.process_pool.workers) == (1, 1), "each keeps one"
    manager.close()


@pytest.mark.parametrize("wrong", ["many", 0, -1, True, 1.5])
def test_a_wrong_number_is_refused_by_name(wrong: object) -> None:
    manager = ConcurrencyManager(setting=settings(default_io_workers=wrong, max_total_workers=wrong))
    with pytest.raises(InvalidRequestError, match=r"\.default_io_workers is .*; allowed are 'auto' and numbers"):
        manager.run_in_thread_pool(abs, -1)
    with pytest.raises(InvalidRequestError, match=r"concurrency.max_total_workers is .*; allowed are null and numbers"):
        manager.run_in_process_pool(abs, -1)
    manager.close()


def test_more_than_the_machine_can_serve_is_refused() -> None:
    manager = ConcurrencyManager(setting=settings(default_io_workers=10**6))
    with pytest.raises(ResourceLimitError, match="got workers=1000000; the most allowed is"):
        manager.run_in_thread_pool(abs, -1)


def test_closing_cancels_what_is_queued_and_refuses_what_comes() -> None:
    manager = ConcurrencyManager(setting=settings(default_io_workers=1))
    gate, started = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        gate.wait(60)
        return "done"

    running, queued = manager.run_in_thread_pool(work), manager.run_in_thread_pool(abs, -1)
    tasks = manager.map_tasks_in_thread_pool(abs, [-1])
    assert started.wait(60)
    queued.add_done_callback(lambda _: gate.set())
    manager.close(60)
    assert running.result() == "done"
    assert queued.cancelled()
    with pytest.raises(ResourceError, match="'concurrency-thread' is released"):
        next(tasks)
    with pytest.raises(ResourceError, match="is released and takes no more tasks"):
        manager.run_in_thread_pool(abs, -1)
    manager.close()


def test_closing_stops_processes_and_names_threads_that_do_not_end(tmp_path: Path) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    manager = ConcurrencyManager()
    gate = threading.Event()
    code = f"open({fifo!r}, 'w').close()\nimport signal\nwhile True: signal.pause()"
    hanging = manager.run_in_process_pool(exec, code)
    stuck = manager.run_in_thread_pool(gate.wait, 60)
    open(fifo).close()
    with pytest.raises(ResourceError, match=r"still running after 0\.1 s: concurrency-thread-1 in "):
        manager.close(0.1)
    assert "was released and stopped exec() after 0.1 s" in str(hanging.exception(60))
    assert not stuck.done()
    gate.set()
    assert stuck.result(60) is True
    manager.close(60)


EXIT = """
import signal, sys, threading
from plugin_executors import ConcurrencyManager, ExecutorsSettings

def main():
    manager = ConcurrencyManager(ExecutorsSettings(stop_grace=0.2))
    manager.run_in_process_pool(exec, "import signal; signal.signal(15, signal.SIG_IGN)\\nwhile True: signal.pause()")
    manager.run_in_thread_pool(threading.Event().wait)
    print(manager.run_in_process_pool(abs, -1).result(), flush=True)

if __name__ == "__main__":
    main()
"""


def test_tasks_that_hang_do_not_keep_the_program_from_exiting(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(EXIT)
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


@pytest.fixture
async def host() -> AsyncIterator[Framework]:
    async with Framework.from_config({"plugins": {"executors": {"stop_grace": 1}}}) as host:
        yield host


async def test_a_host_has_it_as_a_service_and_closes_it(host: Framework) -> None:
    manager: Any = await host.service("concurrency_manager")
    assert isinstance(manager, ConcurrencyManager)
    assert await manager.run_in_thread_pool_async(os.getpid) == os.getpid()
    await host.close()
    with pytest.raises(ResourceError, match="is released"):
        manager.run_in_thread_pool(abs, -1)


def test_endless_inputs_are_taken_as_far_as_needed(manager: ConcurrencyManager) -> None:
    taken = itertools.count()
    with manager.map_tasks_in_thread_pool(abs, taken, buffersize=10) as tasks:
        assert list(itertools.islice(tasks, 100)) == list(range(100))
        assert next(taken) <= 111


async def test_the_sizes_are_those_of_the_host_and_follow_its_pressure() -> None:
    sizes = {"default_io_workers": 3, "default_cpu_workers": "auto"}
    configuration = {"plugins": {"executors": {}}, "resource_management": {"concurrency": sizes}}
    async with Framework.from_config(configuration) as host:
        manager: Any = await host.service("concurrency_manager")
        assert manager.thread_pool.workers == 3
        before = manager.process_pool.workers
        plugin: Any = await host.plugins.activate("executors")
        plugin.pressure_changed("aggressive")
        assert manager.process_pool.workers == max(1, before // 2)
        assert manager.thread_pool.workers == 3, "a number is kept"
        plugin.pressure_changed("normal")
        assert host.metrics is not None


@pytest.mark.parametrize(
    "wrong", [{"default_io_workers": "many"}, {"default_cpu_workers": 0}, {"max_total_workers": -1}]
)
async def test_a_host_refuses_wrong_numbers_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(SettingsError, match=name):
        Framework.from_config({"plugins": {"executors": {}}, "resource_management": {"concurrency": {name: wrong}}})
