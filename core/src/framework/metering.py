"""`Meter` asks collectors and other sources what they measure, and keeps the answers; `Monitor` has it do so again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from framework.errors import InvalidRequestError
from framework.protocols import MetricsCollector
from framework.telemetry import get_logger
from framework.threads import FAILURES, TimedCalls, in_thread

UPDATED = "last_metrics_update_ts"
"""When the measurements were refreshed, in seconds since 1970."""

Source = Callable[[], Mapping[str, Any]]


class Meter:
    """The measurements of one host. Thread-safe.

    Args:
        collectors: Returns the collectors of all active plugins.
        timeout: Returns the seconds that each may take.
    """

    def __init__(self, collectors: Callable[[], Iterable[MetricsCollector]], timeout: Callable[[], float]) -> None:
        self._collectors = collectors
        self._timeout = timeout
        self._sources: dict[str, Source] = {}
        self._overdue: dict[str, float] = {}
        self._updating = threading.Lock()
        self.metrics: Mapping[str, Any] = MappingProxyType({})
        """What all measured last, by name; replaced as a whole, never changed."""
        self.faults: Mapping[str, str] = MappingProxyType({})
        """What was wrong with the last answer, by the name of who gave it."""

    def add_source(self, name: str, source: Source) -> Callable[[], None]:
        """Have a function asked at each update for measurements by name; return what ends that.

        Raises:
            InvalidRequestError: The name is taken, or the source is no function.
        """
        if not callable(source):
            raise InvalidRequestError(f"The metrics source {name!r} is {source!r}; expected a function.", resource=name)
        if name in self._sources or any(one.name == name for one in self._collectors()):
            raise InvalidRequestError(f"There is a metrics source {name!r} already.", "Choose another name.")
        self._sources[name] = source
        return lambda: self._forget(name, source)

    def update(self) -> Mapping[str, Any]:
        """Ask everybody now, and return all measurements; who fails or takes too long is left out and reported."""
        with self._updating:
            faults: dict[str, str] = {}
            merged: dict[str, Any] = {}
            owners: dict[str, str] = {}
            for name, answer in self._answers(faults):
                for key in answer:
                    if key in merged:
                        faults[name] = f"it reports {key!r}, which {owners[key]!r} reports already"
                    else:
                        merged[key], owners[key] = answer[key], name
            merged[UPDATED] = time.time()
            self._report(faults)
            self.faults = MappingProxyType(faults)
            self.metrics = MappingProxyType(merged)
            return self.metrics

    def by_collector(self) -> dict[str, dict[str, float]]:
        """Ask the collectors of plugins now; one that fails is reported and left out."""
        with self._updating:
            faults: dict[str, str] = {}
            names = {one.name for one in self._collectors()}
            measured = {name: dict(answer) for name, answer in self._answers(faults) if name in names}
            self._report(faults)
            return measured

    def _forget(self, name: str, source: Source) -> None:
        if self._sources.get(name) is source:
            del self._sources[name]

    def _answers(self, faults: dict[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        sources = {one.name: one.collect for one in self._collectors()} | dict(self._sources)
        with TimedCalls("framework-metrics", self._overdue) as calls:
            for name, source in sources.items():
                try:
                    answer = calls.call(name, functools.partial(_copied, source), self._timeout())
                except FAILURES as error:  # one failure must not hide the others
                    faults[name] = f"{type(error).__name__}: {error}"
                    continue
                if _is_answer(answer):
                    yield name, answer
                else:
                    faults[name] = f"it returned {answer!r:.80}; expected a mapping of names to numbers"

    def _report(self, faults: Mapping[str, str]) -> None:
        for name, fault in faults.items():
            if name not in self.faults:  # once, until it works again
                get_logger().error("collector_failed", collector=name, error=fault)


def _copied(source: Source) -> Any:
    """Return what a source answers: a mapping copied here, since it may go on changing, or compute what it holds."""
    answer: Any = source()
    return dict(answer) if isinstance(answer, Mapping) else answer


def _is_answer(answer: object) -> bool:
    return isinstance(answer, Mapping) and all(isinstance(key, str) for key in answer)


class Monitor:
    """Updates a meter from time to time, from `start` to `stop`.

    Args:
        meter: What is updated.
        enabled: Returns whether it is to be updated at all.
        interval: Returns the seconds between two updates.
    """

    def __init__(self, meter: Meter, enabled: Callable[[], bool], interval: Callable[[], float]) -> None:
        self._meter = meter
        self._enabled = enabled
        self._interval = interval
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Begin with an update."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """Update no more, and let an update end that has begun, if it soon does."""
        self._loop = None
        self._changed.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_SOON)
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    def adjust(self) -> None:
        """Look at the settings again; may be called in any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._changed.set)

    async def _run(self) -> None:
        while self._loop is not None:
            self._changed.clear()
            if self._enabled():
                await self._update()
            if self._loop is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._interval(), _LONGEST) if self._enabled() else None):
                    await self._changed.wait()

    async def _update(self) -> None:
        try:
            await in_thread(self._meter.update, "framework-monitor")
        except Exception as error:  # noqa: BLE001 - logged; there may be no thread to be had at the moment
            get_logger().error("monitor_failed", error=f"{type(error).__name__}: {error}")


_SOON = 1.0
_LONGEST = 1e6
"""Seconds; more than a loop can wait for is as good as never."""
