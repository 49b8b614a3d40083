"""The provider: checks how many workers may be had, and makes executors."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from framework import Ledger, Recovery, ResourceProvider, creates
from framework.errors import InvalidRequestError, ResourceLimitError
from framework.limits import cpus as usable_cpus
from framework.limits import task_limit
from plugin_executors import semaphores
from plugin_executors.executor import PoolResource
from plugin_executors.processes import ProcessExecutor
from plugin_executors.threads import ThreadExecutor, ThreadPool

if TYPE_CHECKING:
    from plugin_executors.settings import ExecutorsSettings

THREADS_PER_CPU, LEAST_THREAD_LIMIT = 100, 1000
PROCESSES_PER_CPU, LEAST_PROCESS_LIMIT = 10, 61


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
        cpus = usable_cpus()
        wanted = workers if workers is not None else self._settings.thread_workers
        count = min(32, cpus + 4) if wanted == "auto" else wanted
        _check("executor.thread", count, max(LEAST_THREAD_LIMIT, THREADS_PER_CPU * cpus), cpus)
        return ThreadExecutor(ThreadPool(name, count), self._settings.stop_grace)

    @creates("executor.process")
    async def create_process_executor(self, name: str, workers: int | None = None) -> ProcessExecutor:
        """A pool of processes for calls that keep a CPU busy.

        Args:
            name: What it is called.
            workers: Most processes; the setting `process_workers` when left out.

        Raises:
            InvalidRequestError: `workers` is less than 1.
            ResourceLimitError: `workers` is more than 10 for each CPU (and than 61), or than the system allows; or
                the system has no semaphores or file descriptors left.
        """
        cpus = usable_cpus()
        wanted = workers if workers is not None else self._settings.process_workers
        count = cpus if wanted == "auto" else wanted
        _check("executor.process", count, max(LEAST_PROCESS_LIMIT, PROCESSES_PER_CPU * cpus), cpus)
        # multiprocessing costs some 20 ms to import, which nobody who uses only threads should pay
        from plugin_executors.process_pool import ProcessPool

        token = self.token()
        self.intend(Recovery.PROVIDER, token, volatile=True)
        try:
            with semaphores.named_after(token):
                pool = ProcessPool(name, count)
        except (OSError, NotImplementedError) as error:
            raise ResourceLimitError(
                f"executor.process {name!r} could not get its queues: {error}.",
                "Raise the limit on open files (ulimit -n), or make room in /dev/shm.",
                resource=name,
            ) from error
        return ProcessExecutor(pool, self._settings.stop_grace)

    async def reclaim(self, path: str) -> None:
        """Remove the semaphores of a process executor whose owner died; its workers die with the owner."""
        semaphores.remove(path)

    def executors(self) -> list[PoolResource]:
        """Return the executors that are lent now."""
        return [lent for lent in self.lent() if isinstance(lent, PoolResource)]


def _check(kind: str, workers: int, most: int, cpus: int) -> None:
    if workers < 1:
        raise InvalidRequestError(
            f"{kind} got workers={workers}; the least allowed is 1.",
            "Leave it out to have the number chosen.",
            resource=kind,
        )
    limits = {f"{most} (this process may use {cpus} CPUs)": most, **_system_limits()}
    limit = min(limits, key=limits.__getitem__)
    if workers > limits[limit]:
        raise ResourceLimitError(
            f"{kind} got workers={workers}; the most allowed is {limit}.",
            "Ask for fewer: more than the CPUs can serve only adds waiting.",
            resource=kind,
        )


def _system_limits() -> dict[str, int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    group = task_limit()
    limits = {} if soft == resource.RLIM_INFINITY else {f"{soft} (RLIMIT_NPROC)": soft}
    return limits if group is None else {**limits, f"{group} (pids.max of a control group)": group}
