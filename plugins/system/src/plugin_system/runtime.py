"""`RuntimeCollector`: threads, tasks, garbage collection and heap of this interpreter."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from plugin_system.collector import Collector, Measured


class RuntimeCollector(Collector):
    """Measures this interpreter. Pauses of the garbage collection are timed between `start` and `stop`."""

    noun = "runtime"

    def __init__(self, root: str = "/", clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(root, clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = self._paused = self._longest = 0.0
        self._callback = self._on_collection  # one object, so that it can be found again

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Time the garbage collection from now on, and count the tasks of a loop."""
        self._loop = loop
        if self._callback not in gc.callbacks:
            gc.callbacks.append(self._callback)

    def stop(self) -> None:
        """Do neither any more."""
        self._loop = None
        if self._callback in gc.callbacks:
            gc.callbacks.remove(self._callback)

    def _on_collection(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif self._began:
            pause = time.perf_counter() - self._began
            self._paused += pause
            self._longest = max(self._longest, pause)

    def _measure(self, measured: Measured) -> None:
        loop = self._loop
        measured["runtime_threads"] = threading.active_count()
        measured["runtime_tasks"] = len(asyncio.all_tasks(loop)) if loop is not None and not loop.is_closed() else 0
        measured["runtime_heap_blocks"] = sys.getallocatedblocks()
        generations = gc.get_stats()
        for key in ("collections", "collected", "uncollectable"):
            measured[f"runtime_gc_{key}"] = sum(one[key] for one in generations)
        measured["runtime_gc_pause_seconds"] = self._paused
        measured["runtime_gc_longest_pause_seconds"] = self._longest
