"""What a thread does: it runs one function, and is asked to stop."""

import asyncio
import contextvars
import os
import threading
from typing import Any

import anyio
import pytest

from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from plugin_process import ProcessProvider, ProcessSettings

pytestmark = pytest.mark.anyio


async def test_a_function_runs_in_a_named_thread_and_its_result_is_known(provider: ProcessProvider) -> None:
    thread = await provider.create_thread(
        name="worker", target=lambda a: (a, threading.current_thread().name), args=[1]
    )

    assert await thread.wait() == (1, "worker")
    assert await thread.wait() == (1, "worker")
    assert thread.status.value == "available"
    await thread.release()
    await thread.release()
    assert await thread.wait() == (1, "worker")


async def test_what_the_function_raised_is_raised_to_whoever_waits(provider: ProcessProvider) -> None:
    thread = await provider.create_thread("worker", divmod, [1, 0])

    with pytest.raises(ZeroDivisionError):
        await thread.wait()
    assert thread.status.value == "error"
    await thread.release()


async def test_an_exit_in_the_thread_does_not_end_the_program(provider: ProcessProvider) -> None:
    def leave() -> None:
        raise SystemExit(3)

    thread = await provider.create_thread("worker", leave)

    with pytest.raises(ResourceError, match="ended by SystemExit"):
        await thread.wait()


async def test_release_asks_the_function_to_stop_and_waits_for_it(provider: ProcessProvider) -> None:
    def work(first: int, stop: threading.Event) -> str:
        stop.wait()
        return f"{first} stopped"

    thread = await provider.create_thread("worker", work, [5])
    waiting = asyncio.create_task(thread.wait())
    await anyio.wait_all_tasks_blocked()
    assert thread.status.value == "busy"
    assert provider.running() == (0, 1)
    with pytest.raises(ResourceUnavailableError, match=r"still runs after 0\.01 s"):
        await thread.wait(0.01)

    await thread.release()

    assert await waiting == "5 stopped"
    assert thread.cancel_requested.is_set()
    assert "worker" not in {one.name for one in threading.enumerate()}


async def test_a_function_that_does_not_stop_is_quarantined_by_name_until_it_does(impatient: ProcessProvider) -> None:
    finish = threading.Event()
    thread = await impatient.create_thread("stubborn", finish.wait)

    with pytest.raises(ResourceError, match=r"still runs 0\.2 s .* in the thread 'stubborn'"):
        await thread.release()
    assert thread.lease.allocation.value == "quarantined"
    assert thread.status.value == "error"
    assert [record.name for record in impatient.ledger.records()] == ["stubborn"]

    finish.set()
    await thread.wait()
    await thread.release()
    assert impatient.ledger.records() == ()


async def test_a_thread_that_nobody_refers_to_is_asked_to_stop(provider: ProcessProvider) -> None:
    stopped = threading.Event()

    def work(stop: threading.Event) -> None:
        stop.wait()
        stopped.set()

    thread = await provider.create_thread("worker", work)
    assert thread.running
    del thread

    while provider.ledger.records():
        await asyncio.sleep(0)
    assert stopped.is_set()


async def test_cleanup_asks_all_before_it_waits_for_one() -> None:
    provider = ProcessProvider(ProcessSettings(stop_grace=5))
    await provider.initialize()
    meeting = threading.Barrier(4, timeout=5)  # opens only when all four are there

    def work(stop: threading.Event) -> None:
        stop.wait()
        meeting.wait()

    threads = [await provider.create_thread(f"worker-{number}", work) for number in range(4)]

    await provider.cleanup()

    assert not any(thread.running for thread in threads)


def takes_it_by_position(stop: str, /) -> str:
    return stop


def takes_it_by_name(*, stop: Any) -> Any:
    return stop


def takes_anything(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


async def test_only_a_parameter_named_stop_receives_the_event(provider: ProcessProvider) -> None:
    positional = await provider.create_thread("a", takes_it_by_position, ["mine"])
    named = await provider.create_thread("b", takes_it_by_name)
    anything = await provider.create_thread("c", takes_anything, [1])

    assert await positional.wait() == "mine"
    assert await named.wait() is named.cancel_requested
    assert await anything.wait() == ((1,), {})


@pytest.mark.parametrize(("target", "args"), [(takes_it_by_position, []), (takes_it_by_name, [1]), (os.getpid, [1, 2])])
async def test_arguments_that_do_not_fit_are_refused_before_a_thread_starts(
    provider: ProcessProvider, target: Any, args: list[Any]
) -> None:
    before = threading.active_count()

    with pytest.raises(InvalidRequestError, match="cannot call"):
        await provider.create_thread("worker", target, args)

    assert threading.active_count() == before
    assert provider.ledger.statistics().held == 0


async def test_what_cannot_be_called_is_refused(provider: ProcessProvider) -> None:
    with pytest.raises(InvalidRequestError, match="allowed: Callable"):
        await provider.create("process.thread", target=5)


async def test_the_context_of_the_creator_is_seen(provider: ProcessProvider) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("seen")

    thread = await provider.create_thread("worker", variable.get)

    assert await thread.wait() == "seen"


def test_a_loop_that_closed_first_does_not_disturb_the_thread() -> None:
    finish, ended = threading.Event(), threading.Event()

    def work() -> None:
        finish.wait()
        ended.set()

    async def main() -> threading.Thread:
        provider = ProcessProvider(ProcessSettings(stop_grace=0))
        await provider.initialize()
        await provider.create_thread("late", work)
        with pytest.raises(ExceptionGroup):
            await provider.cleanup()
        return next(one for one in threading.enumerate() if one.name == "late")

    thread = asyncio.run(main())
    finish.set()
    thread.join()

    assert ended.is_set()
