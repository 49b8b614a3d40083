"""`Reader`, which answers again and again, and each of its answers as a function that looks once."""

from __future__ import annotations

import math
import threading
from typing import Self

from framework.limits import processors, stalls, usage
from framework.limits.groups import Groups
from framework.limits.processors import CpuTime, Throttling
from framework.limits.stalls import Pressure
from framework.limits.usage import Memory


class Reader:
    """Answers from files that it keeps open, in a few µs each. Thread-safe; works on in a forked child.

    It notices at once when a limit is changed, within 50 ms when the process is moved to another group, and within
    10 seconds when something is mounted, or a controller is added to a group.

    Args:
        root: Where `proc` and the mount points are looked for; a test passes a directory of its own.
    """

    def __init__(self, root: str = "/") -> None:
        self._groups = Groups(root)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; asking again opens them again."""
        with self._lock:
            self._groups.files.close()

    def cpus(self) -> int:
        """Return how many processors can be kept busy at once, at least 1.

        That is the smaller of the affinity mask, which obeys processor sets, and the tightest quota of this process'
        own control group and all of its ancestors, rounded up. The machine's count alone is wrong in containers and
        under a quota.
        """
        return max(1, math.ceil(self.cpu_share()))

    def cpu_share(self) -> float:
        """Return the same without rounding: 0.2 under a quota of a fifth of a processor."""
        with self._lock:
            self._groups.refresh()
            return processors.share(self._groups)

    def cpu_quota(self) -> int | None:
        """Return the tightest quota in whole processors, rounded up; None where there is none."""
        with self._lock:
            self._groups.refresh()
            tightest = processors.quota(self._groups)
        return None if tightest is None else math.ceil(tightest[0])

    def cpu_time(self) -> CpuTime:
        """Return the time spent on processors so far, by all that share the tightest quota and by the whole machine.

        Raises:
            ResourceUnavailableError: This system does not say (macOS).
        """
        with self._lock:
            self._groups.refresh()
            return processors.cpu_time(self._groups)

    def throttled(self) -> Throttling | None:
        """Return how often the tightest quota held this process up; None where there is no quota."""
        with self._lock:
            self._groups.refresh()
            return processors.throttling(self._groups)

    def task_limit(self) -> int | None:
        """Return the tightest `pids.max`, which counts threads and processes alike; None where there is none."""
        with self._lock:
            self._groups.refresh()
            return processors.task_limit(self._groups)

    def memory(self) -> Memory:
        """Return what this process may use of the memory, and what is used of it.

        Raises:
            ResourceUnavailableError: This system does not say how much is used (macOS); `memory_limit` works there.
        """
        with self._lock:
            self._groups.refresh()
            return usage.memory(self._groups)

    def memory_limit(self) -> int | None:
        """Return the most bytes that this process' control group and all above it may use; None for no limit."""
        with self._lock:
            self._groups.refresh()
            limits = [group.maximum for group in usage.limited(self._groups)]
        return min((one for one in limits if one < usage.UNLIMITED), default=None)

    def pressure(self, resource: str) -> Pressure | None:
        """Return the pressure on the own group where that is known, else on the machine; None where neither is.

        Groups of version 2 know it even where no controller is enabled; those of version 1 do not.

        Args:
            resource: `cpu`, `io` or `memory`.

        Raises:
            InvalidRequestError: There is no such resource.
        """
        with self._lock:
            self._groups.refresh()
            return stalls.pressure(self._groups, resource)


def cpus(root: str = "/") -> int:
    """Return what `Reader.cpus` returns."""
    with Reader(root) as reader:
        return reader.cpus()


def cpu_quota(root: str = "/") -> int | None:
    """Return what `Reader.cpu_quota` returns."""
    with Reader(root) as reader:
        return reader.cpu_quota()


def throttled(root: str = "/") -> Throttling | None:
    """Return what `Reader.throttled` returns."""
    with Reader(root) as reader:
        return reader.throttled()


def task_limit(root: str = "/") -> int | None:
    """Return what `Reader.task_limit` returns."""
    with Reader(root) as reader:
        return reader.task_limit()


def memory(root: str = "/") -> Memory:
    """Return, or raise, what `Reader.memory` does."""
    with Reader(root) as reader:
        return reader.memory()


def memory_limit(root: str = "/") -> int | None:
    """Return what `Reader.memory_limit` returns."""
    with Reader(root) as reader:
        return reader.memory_limit()


def pressure(resource: str, root: str = "/") -> Pressure | None:
    """Return, or raise, what `Reader.pressure` does."""
    with Reader(root) as reader:
        return reader.pressure(resource)
