"""`ConcurrencyManager`: one pool of threads and one of processes for a whole program, from any thread.

The asynchronous twins are in `AsyncConcurrency`, its base.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from plugin_executors.mapping import MapOptions, TaskMap
from plugin_executors.pools import Pools
from plugin_executors.twins import AsyncConcurrency

if TYPE_CHECKING:
    from plugin_executors.process_pool import ProcessPool
    from plugin_executors.settings import ExecutorsSettings
    from plugin_executors.threads import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

Setting = Callable[[str], Any]
"""Returns the present value of a setting by its full name."""


class ConcurrencyManager(AsyncConcurrency):
    """Runs tasks in a pool of threads (for what waits) or of processes (for what computes); safe for threads.

    Each pool is made when it is first used. Their sizes are `resource_management.concurrency.default_io_workers` and
    `default_cpu_workers`: a number is kept, "auto" adapts to the work. A forked child gets pools of its own.

    Args:
        settings: The plugin's settings; the defaults when none are given.
        setting: Returns the present value of a setting of the host; the defaults of the section when none is given.
    """

    def __init__(self, settings: ExecutorsSettings | None = None, setting: Setting | None = None) -> None:
        self._pools = Pools(settings, setting)

    @property
    def thread_pool(self) -> ThreadPool:
        """The pool of threads, a `concurrent.futures.Executor`, as for `loop.run_in_executor`."""
        return self._pools.threads()

    @property
    def process_pool(self) -> ProcessPool:
        """The pool of processes, a `concurrent.futures.Executor`, as for `loop.run_in_executor`."""
        return self._pools.processes()

    def run_in_thread_pool(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call for a thread and return its future. The call sees the caller's context variables.

        Raises:
            ResourceError: The manager was closed.
        """
        call: Callable[..., T] = contextvars.copy_context().run
        return self._pools.threads().submit(call, function, *args, **kwargs)

    def run_in_process_pool(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call for a process and return its future. What is sent there and back must be picklable.

        Should the task end its worker, another one tries it again; after `task_attempts` workers the future raises
        `WorkerDiedError`.

        Raises:
            InvalidRequestError: The function or an argument cannot be pickled; the message names it.
            ResourceError: The manager was closed.
        """
        return self._pools.processes().submit(function, *args, **kwargs)

    def map_tasks_in_thread_pool(
        self, function: Callable[..., T], *iterables: Iterable[Any], **options: Unpack[MapOptions]
    ) -> TaskMap[Any]:
        """Call a function in threads with each set of arguments, and return an iterator of the results.

        Args:
            function: What to call.
            iterables: The arguments, as for `map`; they may be endless.
            options: `ordered` (True; False for results as they arrive), `timeout` (seconds from now on in which each
                result must be there), `chunksize` ("auto": learnt), `buffersize` (most arguments taken ahead of the
                results), `outcomes` (False; True for an `Outcome` of each task instead of its value or exception), and
                `progress` (called with how many tasks have ended, and how many there are or None).

        Raises:
            InvalidRequestError: `chunksize` or `buffersize` is not a number of at least 1.
            ResourceError: The manager was closed.
        """
        return TaskMap(
            self._pools.threads(),
            function,
            iterables,
            **options,
            context=contextvars.copy_context(),
        )

    def map_tasks_in_process_pool(
        self, function: Callable[..., T], *iterables: Iterable[Any], **options: Unpack[MapOptions]
    ) -> TaskMap[Any]:
        """Call a function in processes with each set of arguments; otherwise as `map_tasks_in_thread_pool`.

        A task that ends its workers, or that cannot be pickled, fails alone. Those that shared a chunk with it are run
        again, some for the second time.
        """
        return TaskMap(
            self._pools.processes(),
            function,
            iterables,
            **options,
        )

    def metrics(self) -> dict[str, float]:
        """Return the workers, and the running, pending and completed tasks, of each pool."""
        return self._pools.metrics()

    def relieve(self, *, until_better: bool) -> None:
        """Halve pools whose size adapts, and keep them from growing, while memory is short; or let them grow again."""
        self._pools.relieve(until_better=until_better)

    def close(self, grace: float | None = None) -> None:
        """Cancel what is queued, wait for what runs, and stop what does not end; a later use raises ResourceError.

        Args:
            grace: Seconds that running tasks have to end; the setting `stop_grace` when left out. Processes are then
                stopped within another second; a thread that still runs is left behind and ends with the program.
        """
        self._pools.close(grace)
