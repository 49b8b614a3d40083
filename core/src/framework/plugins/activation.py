"""Takes one plugin through the phases of its start, within a deadline, and through its stop.

    import -> settings -> initialize -> register

Importing happens in a thread of its own, so that a module that hangs costs the deadline and not the program. What runs
on the event loop is watched step by step: a plugin that blocks the loop is named in its row's warnings.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import traceback
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio

from framework.errors import PluginError, PluginLoadError

T = TypeVar("T")

BLOCKING_S = 0.5
"""A step on the event loop that takes longer than this is worth a warning."""


@dataclass(slots=True)
class Start:
    """What is known of one start: where it is, how long each phase took in seconds, and what was odd.

    `reached` is told of each phase before it begins; `runs` and `waits` are called around each piece of its own code.
    """

    name: str
    phase: str = "import"
    reached: Callable[[str], None] = lambda _phase: None
    runs: Callable[[], None] = lambda: None
    waits: Callable[[], None] = lambda: None
    durations: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    @contextlib.contextmanager
    def enter(self, phase: str) -> Generator[None]:
        """Time one phase."""
        self.phase = phase
        self.reached(phase)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.durations[phase] = time.perf_counter() - begin

    @contextlib.contextmanager
    def step(self) -> Generator[None]:
        """Say that the plugin's own code runs, here or in a thread."""
        self.runs()
        try:
            yield
        except BaseException as error:
            if any(isinstance(one, MemoryError) for one in causes(error)):
                relieve(error)  # at once, because undoing and reporting the failure take memory, too
            raise
        finally:
            self.waits()

    async def watch(self, call: Callable[[], Awaitable[T]], timeout: float) -> T:
        """Await what a phase does, within a deadline, noting when it blocks the event loop.

        Raises:
            PluginLoadError: It took longer than `timeout` seconds.
        """
        with anyio.move_on_after(timeout) as budget:
            return await _stepped(_coroutine(call), self._loop_step)
        if budget.cancelled_caught:
            raise too_slow(self.name, self.phase, timeout)
        raise PluginLoadError(f"Plugin {self.name!r} ended its {self.phase} by a cancellation.", plugin=self.name)

    @contextlib.contextmanager
    def _loop_step(self) -> Generator[None]:
        begin = time.perf_counter()
        try:
            with self.step():
                yield
        finally:
            seconds = time.perf_counter() - begin
            if seconds > BLOCKING_S:
                self.warnings.append(f"It blocked the event loop for {seconds:.1f} s in {self.phase}.")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was caused by or holds, each once."""
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]


def relieve(error: BaseException) -> None:
    """Clear the variables of the functions that an error came through: they may hold all the memory there is."""
    for one in causes(error):
        traceback.clear_frames(one.__traceback__)


def too_slow(name: str, phase: str, timeout: float) -> PluginLoadError:
    """Return the error for a phase that overran its deadline."""
    return PluginLoadError(
        f"Plugin {name!r} did not end its {phase} within {timeout:g} s.",
        "Repair or disable the plugin, or raise timeouts.start.",
        plugin=name,
    )


async def in_thread(name: str, function: Callable[[], T], timeout: float) -> T:
    """Return what a function returns in a daemon thread, which is left behind when it overruns its deadline.

    Raises:
        PluginLoadError: It took longer than `timeout` seconds.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[T]] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result([result])  # type: ignore[list-item]  # there is a result where there is no error

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as caught:  # noqa: BLE001 - it belongs to the caller, who waits on the loop
            error = _carried(caught)
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name=f"framework-import-{name}", daemon=True).start()
    with anyio.move_on_after(timeout):
        return (await done).pop()  # the loop keeps the future, and so must not keep the plugin
    raise too_slow(name, "import", timeout)


async def stop(name: str, call: Callable[[], Awaitable[object]], timeout: float) -> list[Exception]:
    """Await a clean-up within a deadline; return what went wrong."""
    try:
        with anyio.move_on_after(timeout):
            await call()
            return []
    except BaseException as error:
        if ends_more(error):
            raise
        return [raisable(error, f"cleanup() of {name!r}", name)]
    return [PluginError(f"Stopping plugin {name!r} took longer than {timeout:g} s.", plugin=name)]


def ends_more(error: BaseException) -> bool:
    """Return whether an error ends more than the plugin's code that it comes from.

    An interrupt by the user does, and a cancellation that somebody asked for; one that a plugin made up does not.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, (KeyboardInterrupt, GeneratorExit))


def raisable(error: BaseException, subject: str, plugin: str = "") -> Exception:
    """Return an error that can be reported together with others: itself, or one that says how the subject ended."""
    if isinstance(error, Exception):
        return error
    how = "called exit" if isinstance(error, SystemExit) else f"ended by {type(error).__name__}"
    failure = PluginError(f"{subject} {how}.", plugin=plugin)
    failure.__cause__ = error
    return failure


def _carried(error: BaseException) -> BaseException:
    """Return an error that a future can carry; StopIteration and the like mean something else to it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    carrier = PluginLoadError(f"It ended by {type(error).__name__}: {error}.")
    carrier.__cause__ = error
    return carrier


async def _coroutine(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


@types.coroutine
def _stepped(
    coroutine: Coroutine[Any, Any, T], step: Callable[[], contextlib.AbstractContextManager[None]]
) -> Generator[Any, Any, T]:
    """Drive a coroutine, entering `step` around each of its steps on the event loop."""
    value: Any = None
    error: BaseException | None = None
    while True:
        with step():
            try:
                wanted = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
        value = error = None
        try:
            value = yield wanted
        except BaseException as caught:  # noqa: BLE001 - thrown into the coroutine, which decides
            error = caught
