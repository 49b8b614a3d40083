"""The provider: checks how many workers may be had, and makes executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from framework import Ledger, ResourceProvider, creates
from plugin_executors.bounds import check, first_size, most_for
from plugin_executors.executor import PoolResource
from plugin_executors.processes import ProcessExecutor
from plugin_executors.sizer import IDLE_S, Sizer, attach
from plugin_executors.threads import ThreadExecutor, ThreadPool
from plugin_executors.worker_pool import WorkerPool

if TYPE_CHECKING:
    from plugin_executors.settings import ExecutorsSettings

PoolT = TypeVar("PoolT", bound=WorkerPool)


class ExecutorsProvider(ResourceProvider):
    """Lends pools of threads and of processes.

    Args:
        settings: The plugin's settings; the defaults when none are given.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name = "executors"

    def __init__(self, settings: ExecutorsSettings | None = None, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        if settings is None:
            from plugin_executors.settings import ExecutorsSettings

            settings = ExecutorsSettings()
        self._settings = settings

    @creates("executor.thread")
    async def create_thread_executor(self, name: str, workers: int | None = None) -> ThreadExecutor:
        """A pool of threads for blocking calls.

        Args:
            name: What it is called; its threads are named after it.
            workers: Most threads; the setting `thread_workers` when left out.

        Raises:
            InvalidRequestError: `workers` is less than 1.
            ResourceLimitError: `workers` is more than 100 for each CPU (and than 1000), or than the system allows.
        """
        kind = "executor.thread"
        wanted = workers if workers is not None else self._settings.thread_workers
        pool = ThreadPool(name, first_size(kind) if wanted == "auto" else check(kind, wanted))
        return ThreadExecutor(_adapting(pool) if wanted == "auto" else pool, self._settings.stop_grace)

    @creates("executor.process")
    async def create_process_executor(self, name: str, workers: int | None = None) -> ProcessExecutor:
        """A pool of processes for calls that keep a CPU busy.

        Args:
            name: What it is called.
            workers: Most processes; the setting `process_workers` when left out.

        Raises:
            InvalidRequestError: `workers` is less than 1.
            ResourceLimitError: `workers` is more than 10 for each CPU (and than 61), or than the system allows.
        """
        # nobody who uses only threads should pay for what starts processes
        from plugin_executors.process_pool import ProcessPool

        kind = "executor.process"
        wanted = workers if workers is not None else self._settings.process_workers
        size = first_size(kind) if wanted == "auto" else check(kind, wanted)
        pool = ProcessPool(name, size, self._settings.task_attempts)
        return ProcessExecutor(_adapting(pool) if wanted == "auto" else pool, self._settings.stop_grace)

    def executors(self) -> list[PoolResource]:
        """Return the executors that are lent now."""
        return [lent for lent in self.lent() if isinstance(lent, PoolResource)]


def _adapting(pool: PoolT) -> PoolT:
    """Have the size of a pool follow the work."""
    pool.idle_s = IDLE_S
    attach(Sizer(pool, lambda: most_for(pool.kind, pool.workers, pool.memory_each())), pool)
    return pool
