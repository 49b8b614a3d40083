"""`SystemCollector`: CPU, memory, load and pressure, of what this process may use and of the whole machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from framework.errors import ResourceUnavailableError
from framework.limits import CpuTime, Memory, Reader
from plugin_system.collector import Collector, Measured
from plugin_system.rates import LEAST_SECONDS, Rate

MIB = 1 << 20
PROCESSES_EVERY = 10.0
"""Seconds after which processes are counted again: that takes longer than all the rest."""
RESOURCES = ("cpu", "memory", "io")


class SystemCollector(Collector):
    """Measures the system as this process sees it; what this system does not say is left out."""

    noun = "system"

    def __init__(self, root: str = "/", clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(root, clock)
        self._reader = Reader(root)
        self._own, self._machine, self._periods, self._throttled = Rate(), Rate(), Rate(), Rate()
        self._processes, self._counted = 0, float("-inf")
        self._share = 0.0
        self._limit = 0

    def close(self) -> None:
        """Close the files that are kept open; collecting again opens them again."""
        super().close()
        self._reader.close()

    def capacity(self) -> tuple[float, int]:
        """Return how many processors and bytes of memory this process may use, as measured last; 0 where unknown."""
        if not self.latest:
            self.collect()
        return self._share, self._limit

    def sources(self) -> dict[str, str]:
        """Return which control group limits memory and CPU now, `machine` for none."""
        found = {}
        with contextlib.suppress(ResourceUnavailableError):
            found["memory"] = self._reader.memory().source
        with contextlib.suppress(ResourceUnavailableError):
            found["cpu"] = self._reader.cpu_time().source
        return found

    def cpu_percent(self) -> float:
        """Return how busy the processors are since the last look; the first look ever takes `LEAST_SECONDS`.

        Raises:
            ResourceUnavailableError: This system does not say.
        """
        with self._lock:
            if not self._own.seen:
                self._busy(self._reader.cpu_time())
                time.sleep(LEAST_SECONDS * 1.1)
            return self._busy(self._reader.cpu_time())

    def memory(self) -> Memory:
        """Return what may be used of the memory, and what is used.

        Raises:
            ResourceUnavailableError: This system does not say.
        """
        return self._reader.memory()

    def _measure(self, measured: Measured) -> None:
        with contextlib.suppress(ResourceUnavailableError):
            self._measure_memory(measured, self._reader.memory())
        with contextlib.suppress(ResourceUnavailableError):
            self._measure_cpu(measured, self._reader.cpu_time())
        self._measure_load(measured)
        for resource in RESOURCES:
            pressure = self._reader.pressure(resource)
            if pressure is not None:
                measured[f"system_pressure_{resource}_some_percent"] = pressure.some_avg10
                measured[f"system_pressure_{resource}_full_percent"] = pressure.full_avg10

    def _measure_memory(self, measured: Measured, found: Memory) -> None:
        self._limit = found.limit
        measured["system_memory_percent"] = found.percent
        measured["system_memory_limit_bytes"] = found.limit
        measured["system_memory_used_bytes"] = found.used
        measured["system_memory_available_bytes"] = found.available
        measured["memory_usage_mb"] = found.used / MIB
        measured["memory_total_mb"] = found.limit / MIB
        measured["host_memory_percent"] = 100 * (1 - found.machine_available / found.machine)
        measured["host_memory_total_bytes"] = found.machine
        measured["host_memory_available_bytes"] = found.machine_available

    def _measure_cpu(self, measured: Measured, found: CpuTime) -> None:
        now = self._clock()
        self._share = found.share
        measured["system_cpu_percent"] = measured["cpu_usage"] = self._busy(found)
        measured["system_cpu_limit"] = found.share
        measured["host_cpu_percent"] = _percent(self._machine.of(found.machine_seconds, now), found.machine_cpus)
        measured["host_cpu_count"] = found.machine_cpus
        held_up = self._reader.throttled() if found.source != "machine" else None
        periods = self._periods.of(held_up.periods if held_up else 0, now, found.source)
        throttled = self._throttled.of(held_up.throttled if held_up else 0, now, found.source)
        measured["system_cpu_throttled_percent"] = _percent(throttled, periods) if held_up else 0.0

    def _busy(self, found: CpuTime) -> float:
        return _percent(self._own.of(found.seconds, self._clock(), found.source), found.share)

    def _measure_load(self, measured: Measured) -> None:
        words = self._files.read(f"{self._root}/proc/loadavg").split(None, 1)
        with contextlib.suppress(OSError):
            measured["load_avg_1m"] = float(words[0]) if words else os.getloadavg()[0]
        now = self._clock()
        if now >= self._counted + PROCESSES_EVERY:
            self._counted = now
            with contextlib.suppress(OSError):
                self._processes = sum(map(str.isdecimal, os.listdir(f"{self._root}/proc")))
        if self._processes:
            measured["process_count"] = self._processes


def _percent(part: float, whole: float) -> float:
    return max(0.0, min(100.0, 100.0 * part / whole)) if whole > 0 else 0.0
