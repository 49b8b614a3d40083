"""Counting and timing: `MetricsManager` and `PluginMonitor`.

Measurements are kept in cells of our own, because an OpenTelemetry `add` costs as much as some 80 dictionary
increments. Counters reach OpenTelemetry through observable callbacks, which read the cells when an exporter asks;
histograms, which OpenTelemetry cannot observe, are recorded directly and are therefore kept off hot paths. Without an
SDK both do nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

METER_NAME = "framework"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HistogramSummary:
    """What is kept of a histogram's values, in the unit they were recorded in."""

    count: int
    total: float
    minimum: float
    maximum: float

    def extended(self, value: float) -> HistogramSummary:
        """Return the summary with one more value."""
        return HistogramSummary(self.count + 1, self.total + value, min(self.minimum, value), max(self.maximum, value))


class MetricsManager:
    """Counters and histograms by name and labels; one instance a process through `get_instance`.

    Args:
        meter: The OpenTelemetry meter to export through; the global one when none is given.
    """

    _instance: ClassVar[MetricsManager | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, meter: Meter | None = None) -> None:
        self._lock = threading.Lock()
        self._meter = meter
        self._counters: dict[str, dict[Labels, float]] = {}
        self._summaries: dict[str, dict[Labels, HistogramSummary]] = {}
        self._histograms: dict[str, Histogram] = {}
        self._observed: dict[str, list[Callable[[], Mapping[Labels, float]]]] = {}
        self._kept: dict[str, dict[Labels, float]] = {}

    @classmethod
    def get_instance(cls) -> MetricsManager:
        """Return the manager of this process, made on first use."""
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = cls()
            return cls._instance

    def counter(self, name: str, value: float = 1, **labels: str) -> None:
        """Add a value, which must not be negative, to the counter of that name and those labels."""
        if value < 0:
            msg = f"counter {name!r} got {value}; a counter only rises, so the least allowed value is 0."
            raise ValueError(msg)
        key = _labels(labels)
        with self._lock:
            cells = self._counters.get(name)
            if cells is not None:
                cells[key] = cells.get(key, 0) + value
                return
            self._counters[name] = {key: value}
        self._get_meter().create_observable_counter(name, callbacks=[_reader(lambda: self.counters()[name])])

    def histogram(self, name: str, value: float, **labels: str) -> None:
        """Record one value in the histogram of that name and those labels."""
        key = _labels(labels)
        with self._lock:
            cells = self._summaries.setdefault(name, {})
            former = cells.get(key)
            cells[key] = former.extended(value) if former else HistogramSummary(1, value, value, value)
            instrument = self._histograms.get(name)
            if instrument is None:
                instrument = self._histograms[name] = self._get_meter().create_histogram(name)
        instrument.record(value, labels)

    def observe(
        self, name: str, read: Callable[[], Mapping[Labels, float]], *, unit: str = "1", rises: bool = False
    ) -> None:
        """Export what is read only when an exporter asks; what several readers of one name say is added up.

        Args:
            name: Its name.
            read: Returns the values of now by labels.
            unit: Its unit, as OpenTelemetry writes it.
            rises: True for a counter, whose values never fall.
        """
        with self._lock:
            known = name in self._observed
            self._observed.setdefault(name, []).append(read)
            if rises:
                self._kept.setdefault(name, {})
        if not known:
            callback = _reader(lambda: self._sum(name))
            meter = self._get_meter()
            create = meter.create_observable_counter if rises else meter.create_observable_gauge
            create(name, callbacks=[callback], unit=unit)

    def forget(self, name: str, read: Callable[[], Mapping[Labels, float]]) -> None:
        """Stop asking one reader; forgetting one that is not asked does nothing.

        What the reader of a counter says last is kept and counted on: a counter must not fall.
        """
        last = read() if name in self._kept else {}
        with self._lock:
            others = [one for one in self._observed.get(name, []) if one is not read]
            if name in self._kept and len(others) < len(self._observed[name]):
                _add(self._kept[name], last)
            self._observed[name] = others

    def _sum(self, name: str) -> dict[Labels, float]:
        with self._lock:
            readers = list(self._observed[name])
            total = dict(self._kept.get(name, {}))
        for read in readers:
            _add(total, read())
        return total

    def counters(self) -> dict[str, dict[Labels, float]]:
        """Return a copy of every counter's cells."""
        with self._lock:
            return {name: dict(cells) for name, cells in self._counters.items()}

    def histograms(self) -> dict[str, dict[Labels, HistogramSummary]]:
        """Return a copy of every histogram's summaries."""
        with self._lock:
            return {name: dict(cells) for name, cells in self._summaries.items()}

    def _get_meter(self) -> Meter:
        if self._meter is None:
            from opentelemetry import metrics

            self._meter = metrics.get_meter(METER_NAME)
        return self._meter


class PluginMonitor:
    """Counts and times the operations of plugins under the names `plugin_operations` and `plugin_duration`.

    Failures are timed too, told apart by the label `success`: the seed's rule of timing only successes hid how long
    a failing plugin kept its caller waiting.
    """

    def __init__(self, metrics: MetricsManager | None = None) -> None:
        self._metrics = metrics or MetricsManager.get_instance()

    async def record_operation(
        self,
        operation: str,
        plugin: str,
        success: bool = True,
        duration: float = 0.0,
        **labels: str,
    ) -> None:
        """Record that a plugin performed an operation, which took `duration` seconds."""
        every = {"operation": operation, "plugin": plugin, "success": str(success).lower(), **labels}
        self._metrics.counter("plugin_operations", 1, **every)
        self._metrics.histogram("plugin_duration", duration, **every)


def _add(total: dict[Labels, float], values: Mapping[Labels, float]) -> None:
    for labels, value in values.items():
        total[labels] = total.get(labels, 0.0) + value


def _labels(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _reader(cells: Callable[[], Mapping[Labels, float]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    # the cells are read without our lock, so that a reader may itself use the manager
    def read(_options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        return [Observation(value, dict(labels)) for labels, value in cells().items()]

    return read
