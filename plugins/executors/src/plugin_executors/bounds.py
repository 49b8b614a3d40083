"""How many workers there may be: what may be asked for, and what the machine has room for now."""

from __future__ import annotations

import resource
import sys

from framework.errors import InvalidRequestError, ResourceLimitError, ResourceUnavailableError
from framework.limits import cpus as usable_cpus
from framework.limits import memory, task_limit, throttled

THREADS_PER_CPU, LEAST_THREAD_LIMIT = 100, 1000
PROCESSES_PER_CPU, LEAST_PROCESS_LIMIT = 10, 61

_ADAPTIVE_THREADS_PER_CPU = 32
"""Most threads for each CPU that a pool grows to by itself."""
_HEAVY = 0.1
"""From which share of throttled periods on a quota counts as too small."""


def first_size(kind: str) -> int:
    """Return how many workers a pool begins with whose size adapts."""
    return min(32, usable_cpus() + 4) if kind == "executor.thread" else usable_cpus()


def most_for(kind: str, workers: int, memory_each: int) -> int:
    """Return how many workers a pool may grow to by itself, at least 1.

    Processes are for work that keeps a CPU busy, so more than the CPUs would only wait. Both count against `pids.max`,
    half of which is left to others, and may take half of the memory that is left.

    Args:
        kind: Of the executor.
        workers: How many it has.
        memory_each: Bytes that each takes; 0 where that is not known.
    """
    cpus = usable_cpus()
    limits = [_ADAPTIVE_THREADS_PER_CPU * max(2, cpus) if kind == "executor.thread" else cpus]
    limits += [limit // 2 for limit in _system_limits().values()]
    limits.append(_room_for(workers, memory_each))
    return max(1, min(limits))


def check(kind: str, workers: object) -> int:
    """Return a number of workers that was asked for.

    Raises:
        InvalidRequestError: It is not a number of at least 1.
        ResourceLimitError: It is more than the CPUs can serve or the system allows.
    """
    if type(workers) is not int or workers < 1:
        raise InvalidRequestError(
            f"{kind} got workers={workers!r}; allowed are numbers from 1; the least allowed is 1.",
            "Leave it out to have the number chosen.",
            resource=kind,
        )
    cpus = usable_cpus()
    each, least = (
        (THREADS_PER_CPU, LEAST_THREAD_LIMIT) if kind == "executor.thread" else (PROCESSES_PER_CPU, LEAST_PROCESS_LIMIT)
    )
    most = max(least, each * cpus)
    limits = {f"{most} (this process may use {cpus} CPUs)": most, **_system_limits()}
    limit = min(limits, key=limits.__getitem__)
    if workers > limits[limit]:
        raise ResourceLimitError(
            f"{kind} got workers={workers}; the most allowed is {limit}.",
            "Ask for fewer: more than the CPUs can serve only adds waiting.",
            resource=kind,
        )
    return workers


class Throttle:
    """Tells whether the quota of a control group held this process back since it was last asked."""

    def __init__(self) -> None:
        self._former = throttled()

    def is_heavy(self) -> bool:
        """Return whether more than a tenth of the periods were throttled."""
        former, self._former = self._former, throttled()
        if former is None or self._former is None:
            return False
        periods = self._former.periods - former.periods
        return self._former.throttled - former.throttled > _HEAVY * periods


def resident(pid: int) -> int:
    """Return how many bytes of memory a process has resident, 0 where that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _room_for(workers: int, memory_each: int) -> int:
    """Return how many workers half of the available memory has room for, those that are there included."""
    try:
        return workers + memory().available // 2 // memory_each if memory_each else sys.maxsize
    except ResourceUnavailableError:
        return sys.maxsize  # this system does not say how much is used


def _system_limits() -> dict[str, int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    group = task_limit()
    limits = {} if soft == resource.RLIM_INFINITY else {f"{soft} (RLIMIT_NPROC)": soft}
    return limits if group is None else {**limits, f"{group} (pids.max of a control group)": group}
