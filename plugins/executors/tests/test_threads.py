import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Executor, wait

import pytest

from framework import ResourceStatus
from framework.errors import ResourceError
from plugin_executors import ExecutorsProvider, ThreadExecutor

pytestmark = pytest.mark.anyio

word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="unset")


class Thing:
    """Something that can be referred to weakly."""


def fail(error: BaseException) -> None:
    raise error


def threads_of(executor: ThreadExecutor) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(executor.name)]


async def test_it_runs_in_its_own_threads(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=2)
    assert executor.workers == 2
    assert await executor.run(lambda: threading.current_thread().name) == "pool-1"
    assert executor.submit(divmod, 7, 2).result() == (3, 1)
    assert list(executor.map(pow, [2, 3], [3, 2])) == [8, 9]
    assert isinstance(executor.executor, Executor)
    assert await asyncio.get_running_loop().run_in_executor(executor.executor, abs, -3) == 3


async def test_it_starts_no_more_threads_than_it_needs(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=3)
    for _ in range(20):
        await executor.run(time.monotonic)
    assert threads_of(executor) == ["pool-1"]
    barrier = threading.Barrier(3)
    await asyncio.gather(*(executor.run(barrier.wait, 10) for _ in range(3)))
    assert len(threads_of(executor)) == 3
    await asyncio.gather(*(executor.run(time.monotonic) for _ in range(50)))
    assert len(threads_of(executor)) == 3


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_what_a_task_raises_reaches_the_caller(provider: ExecutorsProvider, error: BaseException) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    with pytest.raises(type(error)) as caught:
        await executor.run(fail, error)
    assert caught.value is error
    assert await executor.run(abs, -1) == 1


async def test_stop_iteration_does_not_hang_the_caller(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await executor.run(next, iter(()))


async def test_context_variables_come_along_and_do_not_come_back(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    word.set("here")
    assert await executor.run(word.get) == "here"
    await executor.run(word.set, "there")
    assert word.get() == "here"


async def test_an_idle_thread_keeps_nothing_alive(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    thing = Thing()
    seen = weakref.ref(thing)
    assert executor.submit(lambda one: one, thing).result() is thing
    del thing
    deadline = time.monotonic() + 10
    while seen() is not None and time.monotonic() < deadline:
        await asyncio.sleep(0)  # the thread has a few instructions to go before it idles
    assert seen() is None


async def test_an_exception_is_gone_when_it_was_handled(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    thing = Thing()
    seen = weakref.ref(thing)
    gc.collect()
    gc.disable()  # only a cycle would wait for the collector
    try:
        try:
            await executor.run(int, "no number")
        except ValueError as error:
            error.thing = thing  # type: ignore[attr-defined]  # to watch it by
        del thing
        await executor.run(time.monotonic)
        assert seen() is None
    finally:
        gc.enable()


async def test_a_cancelled_caller_cancels_its_queued_task(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    ran: list[int] = []
    gate = threading.Event()
    running = executor.submit(gate.wait, 10)
    task = asyncio.create_task(executor.run(ran.append, 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert running.result() is True
    await executor.run(time.monotonic)
    assert ran == []
    assert executor.executor.unfinished == 0


async def test_release_ends_every_thread(provider: ExecutorsProvider) -> None:
    before = set(threading.enumerate())
    executor = await provider.create_thread_executor("pool", workers=4)
    barrier = threading.Barrier(4)
    await asyncio.gather(*(executor.run(barrier.wait, 10) for _ in range(4)))
    await executor.release()
    assert set(threading.enumerate()) == before
    with pytest.raises(ResourceError, match="'pool' is released"):
        await executor.run(abs, -1)


async def test_release_without_a_task_starts_nothing(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=4)
    await executor.release()
    assert threads_of(executor) == []


async def test_release_cancels_what_is_queued_and_waits_for_what_runs(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=1)
    gate, started = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        gate.wait(10)
        return "done"

    running, queued = executor.submit(work), executor.submit(abs, -1)
    waiting = asyncio.create_task(executor.run(abs, -2))
    await asyncio.to_thread(started.wait, 10)
    queued.add_done_callback(lambda _: gate.set())
    await executor.release()
    assert running.result() == "done"
    assert queued.cancelled()
    assert wait([queued], timeout=10).done
    with pytest.raises(ResourceError, match=r"'pool' was released before it came to abs\(\)"):
        await waiting


async def test_a_stuck_thread_is_named_and_the_lease_kept_until_it_ends(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=2)
    gate, started = threading.Event(), threading.Event()

    def dig() -> None:
        started.set()
        gate.wait(30)

    executor.submit(dig)
    await asyncio.to_thread(started.wait, 10)
    with pytest.raises(ResourceError, match=r"still running after 0\.1 s: pool-1 in dig\(\) at "):
        await executor.release()
    assert provider.ledger.records()[0].status is ResourceStatus.ERROR
    gate.set()
    await executor.release()
    assert provider.ledger.records() == ()
    assert threads_of(executor) == []


def test_a_task_that_never_ends_does_not_keep_the_program_from_exiting() -> None:
    code = """
import asyncio, threading
from plugin_executors import ExecutorsProvider, ExecutorsSettings

async def main():
    provider = ExecutorsProvider(ExecutorsSettings(stop_grace=0))
    await provider.initialize()
    executor = await provider.create_thread_executor("pool")
    executor.submit(threading.Event().wait)
    try:
        await provider.cleanup()
    except ExceptionGroup as group:
        print(group.exceptions[0].resource)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("pool\n", 0), done.stderr


async def test_many_submitters_lose_no_task(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("pool", workers=4)
    submitters = await provider.create_thread_executor("submitters", workers=8)
    parts = await asyncio.gather(
        *(submitters.run(lambda: sum(executor.submit(abs, -1).result() for _ in range(200))) for _ in range(8))
    )
    assert sum(parts) == 1600
    assert (executor.running, executor.pending) == (0, 0)


async def test_a_callback_that_wants_to_exit_costs_no_thread(provider: ExecutorsProvider) -> None:
    executor = await provider.create_thread_executor("threads", workers=1)
    gate = threading.Event()
    future = executor.submit(gate.wait)
    future.add_done_callback(lambda _: sys.exit(1))
    gate.set()
    assert await asyncio.wait_for(executor.run(abs, -1), 60) == 1
