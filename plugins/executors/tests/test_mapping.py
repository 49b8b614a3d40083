"""Maps over pools: order, laziness, chunks, failures, progress and cancellation."""

import asyncio
import gc
import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import InvalidRequestError
from plugin_executors import AsyncTaskMap, Outcome, TaskMap
from plugin_executors.chunks import ChunkSize, run_chunk
from plugin_executors.process_pool import ProcessPool
from plugin_executors.threads import ThreadPool

pytestmark = pytest.mark.anyio


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool("pool", 4)
    yield pool
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPool]:
    pool = ProcessPool("processes", 2)
    yield pool
    pool.shutdown()


def odd(number: int) -> int:
    if number % 2:
        return number
    raise ValueError(number)


def drained(tasks: TaskMap[Any]) -> list[Any]:
    """Return every result, or the exception in its place."""
    found: list[Any] = []
    while True:
        try:
            found.append(next(tasks))
        except StopIteration:
            return found
        except ValueError as error:
            found.append(error)


@pytest.mark.parametrize("kind", ["threads", "processes"])
@given(
    inputs=st.lists(st.integers(0, 5), max_size=60),
    ordered=st.booleans(),
    chunksize=st.one_of(st.just("auto"), st.integers(1, 20)),
    buffersize=st.one_of(st.none(), st.integers(1, 20)),
)
def test_every_item_has_one_result(
    processes: ProcessPool, kind: str, inputs: list[int], ordered: bool, chunksize: Any, buffersize: int | None
) -> None:
    pool: Any = processes if kind == "processes" else _threads
    # round(7, n) is a result, and 1 // 0 a failure, in either kind of pool
    tasks = TaskMap(
        pool,
        divmod,
        [itertools.repeat(6), inputs],
        ordered=ordered,
        chunksize=chunksize,
        buffersize=buffersize,
        outcomes=True,
    )
    found: list[Outcome[Any]] = list(tasks)
    if ordered:
        assert [one.index for one in found] == list(range(len(inputs)))
    by_index = {one.index: one for one in found}
    assert sorted(by_index) == list(range(len(inputs)))
    for index, number in enumerate(inputs):
        one = by_index[index]
        assert isinstance(one.error, ZeroDivisionError) if number == 0 else one.result() == divmod(6, number)


_threads = ThreadPool("shared", 4)


def test_a_failing_item_does_not_hide_the_others(pool: ThreadPool) -> None:
    found = drained(pool.map(odd, range(10)))
    assert [one if isinstance(one, int) else str(one) for one in found] == ["0", 1, "2", 3, "4", 5, "6", 7, "8", 9]
    with pytest.raises(ValueError, match="0"):
        Outcome(0, None, ValueError(0)).result()


@pytest.mark.parametrize("chunksize", [1, 3, 10])
def test_an_iterator_of_a_map_goes_on_behind_a_failure(pool: ThreadPool, chunksize: int) -> None:
    tasks = pool.map(odd, range(10), chunksize=chunksize)
    found: list[int | str] = []
    for results in (iter(tasks), iter(tasks)):  # each goes on where the former was left
        for _ in range(5):
            try:
                found.append(next(results))
            except ValueError as error:
                found.append(str(error))
    assert found == ["0", 1, "2", 3, "4", 5, "6", 7, "8", 9]
    assert next(results, "over") == "over"


def test_a_task_that_raises_stop_iteration_ends_nothing(pool: ThreadPool) -> None:
    def task(number: int) -> int:
        return number or next(iter(()))

    found: list[Any] = list(TaskMap(pool, task, [[1, 0, 2]], chunksize=3, outcomes=True))
    assert [one.value for one in found] == [1, None, 2]
    assert str(found[1].error) == "the task raised StopIteration"


@pytest.mark.parametrize("chunksize", [1, 5, "auto"])
def test_what_the_input_raises_comes_after_the_results_before_it(pool: ThreadPool, chunksize: Any) -> None:
    def inputs() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    tasks = pool.map(abs, inputs(), chunksize=chunksize)
    assert [next(tasks) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="no more"):
        next(tasks)
    assert list(tasks) == []


def test_results_come_as_they_arrive_when_order_does_not_matter(pool: ThreadPool) -> None:
    gates = [threading.Event() for _ in range(4)]

    def task(number: int) -> int:
        assert gates[number].wait(60)
        return number

    tasks = TaskMap(pool, task, [range(4)], ordered=False, chunksize=1)
    for number in (2, 0, 3, 1):
        gates[number].set()
        assert next(tasks) == number
    assert list(tasks) == []


@pytest.mark.parametrize("buffersize", [1, 3, 50])
def test_no_more_is_taken_ahead_than_was_said(pool: ThreadPool, buffersize: int) -> None:
    taken = itertools.count()
    tasks = TaskMap(pool, abs, [taken], buffersize=buffersize)
    for done in range(200):
        assert next(tasks) == done
        assert int(repr(taken)[6:-1]) <= done + 1 + buffersize
    tasks.close()
    assert list(tasks) == []


def test_dropping_a_map_cancels_what_is_queued(pool: ThreadPool) -> None:
    gate = threading.Event()
    ran: list[int] = []

    def task(number: int) -> None:
        ran.append(number)
        gate.wait(60)

    tasks = pool.map(task, itertools.count(), chunksize=1)
    del tasks
    gc.collect()
    gate.set()
    pool.submit(abs, -1).result(60)
    pool.shutdown()
    assert len(ran) <= 4, "what ran already"
    assert pool.unfinished == 0


def test_closing_waits_for_nothing(pool: ThreadPool) -> None:
    gate = threading.Event()
    with pool.map(gate.wait, [60] * 100, chunksize=1) as tasks:
        pass
    assert list(tasks) == []
    gate.set()


def test_a_late_result_is_a_timeout_that_cancels_the_rest(pool: ThreadPool) -> None:
    gate = threading.Event()
    tasks = pool.map(gate.wait, [60] * 100, timeout=0.01)
    with pytest.raises(TimeoutError, match="not there in time"):
        next(tasks)
    assert list(tasks) == []
    gate.set()


@pytest.mark.parametrize("sized", [True, False])
def test_progress_counts_every_task_once(pool: ThreadPool, sized: bool) -> None:
    told: list[tuple[int, int | None]] = []
    inputs = range(300)
    tasks = TaskMap(
        pool, odd, [inputs if sized else iter(inputs)], outcomes=True, progress=lambda *args: told.append(args)
    )
    assert len(list(tasks)) == 300
    pool.shutdown()
    counts = [done for done, _ in told]
    assert counts == sorted(set(counts))
    assert counts[-1] == 300
    assert {total for _, total in told} == {300 if sized else None}


def test_a_progress_function_that_fails_costs_no_result(pool: ThreadPool, caplog: pytest.LogCaptureFixture) -> None:
    assert list(TaskMap(pool, abs, [range(5)], chunksize=1, progress=lambda *_: 1 // 0)) == list(range(5))
    pool.shutdown()
    assert "exception calling callback" in caplog.text


@pytest.mark.parametrize(
    ("option", "wrong"), [("chunksize", 0), ("chunksize", "big"), ("chunksize", True), ("buffersize", 0)]
)
def test_impossible_options_are_refused_by_name(pool: ThreadPool, option: str, wrong: Any) -> None:
    options: dict[str, Any] = {option: wrong}
    with pytest.raises(InvalidRequestError, match=f"'pool' got {option}={wrong!r}; allowed are "):
        TaskMap(pool, abs, [[1]], **options)


def test_small_tasks_travel_in_chunks(processes: ProcessPool) -> None:
    before = processes.completed
    assert list(processes.map(abs, range(5000))) == list(range(5000))
    assert processes.completed - before == 5000
    size = ChunkSize(None, None)
    for seconds, expected in [(1e-6, 8), (8e-6, 64), (64e-6, 512), (512e-6, 1000), (0.1, 19), (10.0, 1)]:
        size.learn(seconds, size.size)
        assert size.size == expected


def test_a_chunk_is_one_call_for_each_item() -> None:
    chunk = run_chunk(odd, [(1,), (2,), (3,)], str)
    assert (chunk.values, chunk.errors) == ([1, None, 3], {1: "2"})


async def test_the_asynchronous_map_goes_on_behind_a_failure(processes: ProcessPool) -> None:
    tasks = AsyncTaskMap(processes.map(divmod, [1, 1, 1], [1, 0, 1]))
    async with tasks:
        assert await anext(tasks) == (1, 0)
        with pytest.raises(ZeroDivisionError):
            await anext(tasks)
        assert await anext(tasks) == (1, 0)
        with pytest.raises(StopAsyncIteration):
            await anext(tasks)


async def test_two_waiters_on_one_map_both_end(pool: ThreadPool) -> None:
    gate = threading.Event()
    tasks = AsyncTaskMap(TaskMap(pool, gate.wait, [[60]], ordered=False))

    async def eat() -> list[bool]:
        return [result async for result in tasks]

    eaters = [asyncio.create_task(eat()) for _ in range(2)]
    await asyncio.sleep(0)  # both have come to wait
    gate.set()
    assert sorted(await asyncio.wait_for(asyncio.gather(*eaters), 60)) == [[], [True]]


async def test_it_is_what_executors_have(processes: ProcessPool) -> None:
    assert isinstance(processes, Executor)
    pids = await asyncio.gather(*(asyncio.wrap_future(processes.submit(os.getpid)) for _ in range(10)))
    assert os.getpid() not in pids


def test_a_task_does_not_see_what_another_one_of_its_chunk_has_set(pool: ThreadPool) -> None:
    seen: ContextVar[int] = ContextVar("seen", default=0)

    def task(number: int) -> int:
        former = seen.get()
        seen.set(number)
        return former

    seen.set(7)
    assert list(TaskMap(pool, task, [range(10)], chunksize=5, context=copy_context())) == [7] * 10
