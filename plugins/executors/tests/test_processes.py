import asyncio
import math
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import Executor
from pathlib import Path

import pytest

from framework import ResourceStatus
from framework.errors import InvalidRequestError, ResourceError
from plugin_executors import ExecutorsProvider, ExecutorsSettings, ProcessExecutor, WorkerDiedError

pytestmark = pytest.mark.anyio


def busy_code(fifo: str, then: str = "import signal; signal.pause()") -> str:
    """Return code that opens a named pipe, so that its reader knows that it runs, and goes on."""
    return f"open({fifo!r}, 'w').close(); {then}"


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    return path


async def until_opened(fifo: str) -> None:
    await asyncio.to_thread(lambda: open(fifo).close())


def footprint() -> dict[str, object]:
    """Return what this process has: threads, open files, children, and named semaphores."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "files": sorted(os.listdir("/proc/self/fd")),
        "children": children,
        "semaphores": [line for line in Path("/proc/self/maps").read_text().splitlines() if "/sem." in line],
    }


async def test_it_runs_in_other_processes(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    assert executor.workers == 1
    assert await executor.run(os.getpid) not in {os.getpid(), 0}
    assert executor.submit(divmod, 7, 2).result() == (3, 1)
    assert list(executor.map(pow, [2, 3, 4], [3, 2, 1], chunksize=2)) == [8, 9, 4]
    assert isinstance(executor.executor, Executor)
    assert await asyncio.get_running_loop().run_in_executor(executor.executor, abs, -3) == 3
    assert (executor.running, executor.pending) == (0, 0)


async def test_what_a_task_raises_reaches_the_caller_with_its_traceback(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    with pytest.raises(ValueError, match="math domain error") as caught:
        await executor.run(math.sqrt, -1)
    assert "worker.py" in str(caught.value.__cause__)
    with pytest.raises(SystemExit):
        await executor.run(exec, "raise SystemExit(3)")
    assert await executor.run(abs, -1) == 1


@pytest.mark.parametrize("arguments", [(lambda: None,), (print, threading.Lock())])
async def test_what_cannot_be_pickled_is_refused_by_name(provider: ExecutorsProvider, arguments: tuple) -> None:  # type: ignore[type-arg]  # anything at all
    executor = await provider.create_process_executor("pool", workers=1)
    name = arguments[0].__qualname__
    with pytest.raises(InvalidRequestError) as caught:
        await executor.run(*arguments)
    assert f"'pool' cannot send {name}()" in caught.value.problem
    assert executor.executor.unfinished == 0


class Unloadable:
    """Pickles, and fails when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (pickle.loads, (b"nonsense",))


async def test_what_cannot_be_loaded_fails_alone(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    worker = await executor.run(os.getpid)
    with pytest.raises(InvalidRequestError, match="A worker process could not load a task: UnpicklingError"):
        await executor.run(print, Unloadable())
    assert await executor.run(os.getpid) == worker


async def test_a_task_that_kills_its_workers_fails_alone_with_the_signal(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    worker = await executor.run(os.getpid)
    with pytest.raises(WorkerDiedError, match=r"raise_signal\(.*\) was tried 3 times .* ended by SIGKILL\.") as caught:
        await executor.run(signal.raise_signal, signal.SIGKILL)
    assert (caught.value.signal, caught.value.returncode) == ("SIGKILL", -signal.SIGKILL)
    assert caught.value.deaths[0].pid == worker
    assert len({death.pid for death in caught.value.deaths}) == 3
    assert await executor.run(abs, -1) == 1


async def test_workers_ignore_an_interrupt(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    worker = await executor.run(os.getpid)
    os.kill(worker, signal.SIGINT)
    assert await executor.run(os.getpid) == worker
    assert await executor.run(signal.pthread_sigmask, signal.SIG_BLOCK, ()) == set()


async def test_a_worker_that_is_still_starting_ignores_an_interrupt(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    future = executor.submit(os.getpid)
    (worker,) = executor.executor.workers_alive()
    os.kill(worker.pid or 0, signal.SIGINT)
    assert await asyncio.wrap_future(future) == worker.pid


async def test_release_leaves_no_thread_file_process_or_semaphore(provider: ExecutorsProvider) -> None:
    before = footprint()
    executor = await provider.create_process_executor("pool", workers=2)
    assert await asyncio.gather(*(executor.run(abs, -n) for n in range(50))) == list(range(50))
    assert footprint() != before
    await executor.release()
    assert footprint() == before


async def test_release_without_a_task_leaves_nothing(provider: ExecutorsProvider) -> None:
    before = footprint()
    await (await provider.create_process_executor("pool", workers=2)).release()
    assert footprint() == before


async def test_release_waits_for_what_runs_and_cancels_what_is_queued(fifo: str) -> None:
    provider = ExecutorsProvider(ExecutorsSettings(stop_grace=20))
    await provider.initialize()
    executor = await provider.create_process_executor("pool", workers=1)
    running = executor.submit(exec, busy_code(fifo, f"open({fifo!r}).close()"))
    await until_opened(fifo)
    queued = [executor.submit(abs, -n) for n in range(10)]
    queued[-1].add_done_callback(lambda _: open(fifo, "w").close())
    waiting = asyncio.create_task(executor.run(abs, -2))
    await asyncio.sleep(0)
    await executor.release()
    assert running.result() is None
    assert queued[-1].cancelled()
    with pytest.raises(ResourceError, match=r"'pool' was released before it came to abs\(\)"):
        await waiting
    with pytest.raises(ResourceError, match="'pool' is released"):
        await executor.run(abs, -1)


async def stop(provider: ExecutorsProvider, executor: ProcessExecutor, fifo: str, code: str) -> None:
    """Release an executor whose only worker never ends of itself, and see that it is gone."""
    worker = await executor.run(os.getpid)
    with os.fdopen(os.pidfd_open(worker)) as gone:
        task = asyncio.create_task(executor.run(exec, code))
        await until_opened(fifo)
        await executor.release()
        assert select.select([gone], [], [], 0)[0]
    with pytest.raises(ResourceError, match=r"'pool' was released and stopped exec\(\) after 0\.1 s"):
        await task
    assert executor.status is ResourceStatus.RELEASED
    assert provider.ledger.records() == ()


async def test_release_terminates_a_task_that_does_not_end(provider: ExecutorsProvider, fifo: str) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    await stop(provider, executor, fifo, busy_code(fifo))


async def test_release_kills_a_task_that_ignores_termination(provider: ExecutorsProvider, fifo: str) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    await stop(provider, executor, fifo, deaf + busy_code(fifo, "\nwhile True: signal.pause()"))


async def test_large_arguments_and_results_arrive_whole(provider: ExecutorsProvider) -> None:
    executor = await provider.create_process_executor("pool", workers=1)
    data = os.urandom(3 << 20)
    assert await executor.run(bytes, data) == data


async def test_cleanup_releases_every_executor(provider: ExecutorsProvider) -> None:
    executors = [await provider.create_process_executor(name, workers=1) for name in ("one", "two")]
    workers = [await executor.run(os.getpid) for executor in executors]
    await provider.cleanup()
    assert [Path(f"/proc/{worker}").exists() for worker in workers] == [False, False]
    assert provider.executors() == []


SHORT_OF_MEMORY = """
import resource
from plugin_executors.process_pool import ProcessPool

pool = ProcessPool("pool", 1)
assert pool.submit(abs, -1).result() == 1
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
former = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (taken + (100 << 20), former[1]))
error = pool.submit(bytes, 300 << 20).exception()
resource.setrlimit(resource.RLIMIT_AS, former)
assert type(error) is MemoryError, error
assert pool.submit(abs, -2).result() == 2
pool.shutdown()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells here how much address space is taken")
def test_an_answer_that_does_not_fit_costs_its_own_task() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
