"""`ProcessCollector`: what this process uses."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable

from plugin_system.collector import Collector, Measured
from plugin_system.rates import Rate

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
# proc(5): the fields of /proc/self/stat that follow the name in brackets, counted from 0
_MAJOR_FAULTS, _THREADS, _START, _VIRTUAL, _RESIDENT = 9, 17, 19, 20, 21


class ProcessCollector(Collector):
    """Measures this process; percentages are of what it may use. What this system does not say is left out.

    Args:
        capacity: Returns how many processors and bytes of memory the process may use.
        root: Where `proc` is looked for.
        clock: What tells the time, in seconds.
    """

    noun = "process"

    def __init__(
        self,
        capacity: Callable[[], tuple[float, int]],
        root: str = "/",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(root, clock)
        self._capacity = capacity
        self._busy = Rate()
        self._transferred = {name: Rate() for name in ("read", "written")}
        self._descriptors = f"{self._root}/proc/self/fd"

    def _measure(self, measured: Measured) -> None:
        share, limit = self._capacity()
        now, seconds = self._clock(), time.process_time()
        measured["process_cpu_seconds"] = seconds
        rate = self._busy.of(seconds, now, os.getpid())
        measured["process_cpu_percent"] = min(100.0, 100.0 * rate / (share or os.cpu_count() or 1))
        fields = self._files.read(f"{self._root}/proc/self/stat").rpartition(b")")[2].split()
        if len(fields) > _RESIDENT:
            resident = int(fields[_RESIDENT]) * _PAGE
            measured["process_rss_bytes"] = resident
            measured["process_vms_bytes"] = int(fields[_VIRTUAL])
            measured["process_memory_percent"] = min(100.0, 100.0 * resident / limit) if limit else 0.0
            measured["process_threads"] = int(fields[_THREADS])
            measured["process_major_faults"] = int(fields[_MAJOR_FAULTS])
            started = int(fields[_START]) / _TICKS
            measured["process_uptime_seconds"] = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
        self._measure_files(measured)
        self._measure_transfers(measured, now)

    def _measure_files(self, measured: Measured) -> None:
        with contextlib.suppress(OSError):
            # since Linux 6.2 the size of the directory is the number of descriptors; elsewhere they are counted
            size = os.stat(self._descriptors).st_size
            measured["process_open_fds"] = size or len(os.listdir(self._descriptors)) - 1
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        measured["process_fds_limit"] = soft if soft != resource.RLIM_INFINITY else 0

    def _measure_transfers(self, measured: Measured, now: float) -> None:
        lines = self._files.read(f"{self._root}/proc/self/io").split()
        if len(lines) < 14:
            return
        for name, word in (("read", lines[9]), ("written", lines[11])):
            measured[f"process_{name}_bytes"] = float(word)
            measured[f"process_{name}_bytes_per_second"] = self._transferred[name].of(float(word), now, os.getpid())
