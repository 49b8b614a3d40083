"""Counting and timing: `MetricsManager` and `PluginMonitor`.

Measurements are kept in cells of our own, because an OpenTelemetry `add` costs as much as some 80 dictionary
increments. Counters reach OpenTelemetry through observable callbacks, which read the cells when an exporter asks;
histograms, which OpenTelemetry cannot observe, are recorded directly and are therefore kept off hot paths. Without an
SDK both do nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

from framework.telemetry.events import get_logger
from framework.telemetry.series import Counter, Gauge, Histogram, HistogramSummary

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from opentelemetry.metrics import Histogram as Instrument

METER_NAME = "framework"

Labels = tuple[tuple[str, str], ...]
S = TypeVar("S", Counter, Gauge, Histogram)


OVERFLOW: Labels = (("otel.metric.overflow", "true"),)
"""Labels of the series that takes what has no room for one of its own, as the specification of OpenTelemetry has it."""


class MetricsManager:
    """Counters, gauges and histograms by name and labels; one instance a process through `get_instance`.

    Each combination of labels is a series of its own and stays for ever: labels must not be names of users or
    requests. What comes after `max_series` of one name goes into one series labelled `otel.metric.overflow`, and is
    reported once.

    Args:
        meter: The OpenTelemetry meter to export through; the global one when none is given.
    """

    max_series = 1000
    """Most series of one name."""

    _instance: ClassVar[MetricsManager | None] = None
    _instance_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, meter: Meter | None = None) -> None:
        self._lock = threading.Lock()
        self._meter = meter
        self._counters: dict[str, dict[Labels, Counter]] = {}
        self._gauges: dict[str, dict[Labels, Gauge]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._instruments: dict[str, Instrument] = {}
        self._observed: dict[str, list[Callable[[], Mapping[Labels, float]]]] = {}
        self._kept: dict[str, dict[Labels, float]] = {}

    @classmethod
    def get_instance(cls) -> MetricsManager:
        """Return the manager of this process, made on first use."""
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = cls()
                cls._instance.survive_forks()
            return cls._instance

    def survive_forks(self) -> None:
        """See to it that no other thread holds the lock when the process is forked: the child could never have it."""
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def counter(self, name: str, value: float = 1, **labels: str) -> Counter:
        """Add a value, which must not be negative, to the counter of that name and those labels.

        Returns:
            The series: `add` on it takes a third of the time. With the value 0 nothing is added.

        Raises:
            ValueError: The value is below 0, or the name is that of another sort of metric.
        """
        try:
            series = self._counters[name][_key(labels)]
        except KeyError:
            series = self._series(self._counters, name, labels, lambda _: Counter(name, self._lock))
        series.add(value)
        return series

    def gauge(self, name: str, value: float | None = None, **labels: str) -> Gauge:
        """Set the gauge of that name and those labels, and return the series; None sets nothing.

        Raises:
            ValueError: The value is not finite, or the name is that of another sort of metric.
        """
        series = self._series(self._gauges, name, labels, lambda _: Gauge(name))
        if value is not None:
            series.set(value)
        return series

    def histogram(self, name: str, value: float | None = None, **labels: str) -> Histogram:
        """Record a value in the histogram of that name and those labels, and return the series; None records nothing.

        Raises:
            ValueError: The value is not finite, or the name is that of another sort of metric.
        """
        series = self._series(
            self._histograms, name, labels, lambda key: Histogram(name, self._lock, dict(key), self._instruments[name])
        )
        if value is not None:
            series.record(value)
        return series

    def _series(
        self, table: dict[str, dict[Labels, S]], name: str, labels: dict[str, str], make: Callable[[Labels], S]
    ) -> S:
        key = _key(labels)
        known = table.get(name)
        found = known.get(key) if known is not None else None
        if found is not None:
            return found
        if known is None:
            self._introduce(table, name)
        with self._lock:
            known = table[name]
            full = len(known) >= self.max_series and key not in known
            first = full and OVERFLOW not in known
            key = OVERFLOW if full else key
            found = known.get(key)
            if found is None:
                found = known[key] = make(key)
        if first:
            get_logger().warning("metric_overflowed", metric=name, series=self.max_series)
        return found

    def _introduce(self, table: dict[str, dict[Labels, S]], name: str) -> None:
        """Claim a name for one sort of metric, and create its instrument."""
        with self._lock:
            for sort, others in (
                ("counter", self._counters),
                ("gauge", self._gauges),
                ("histogram", self._histograms),
            ):
                if name in others and others is not table:
                    msg = f"metric {name!r} is a {sort} already; one name is one sort of metric."
                    raise ValueError(msg)
            if name in table:
                return
            if table is self._histograms:
                self._instruments[name] = self._get_meter().create_histogram(name)
            table[name] = {}
        if table is self._counters:
            self._get_meter().create_observable_counter(name, callbacks=[_reader(lambda: self.values(name))])
        elif table is self._gauges:
            self._get_meter().create_observable_gauge(name, callbacks=[_reader(lambda: self.values(name))])

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

    def values(self, name: str) -> dict[Labels, float]:
        """Return what each series of a counter or gauge is now; nothing for a name that there is not."""
        with self._lock:
            cells: dict[Labels, Counter | Gauge] = {**self._counters.get(name, {}), **self._gauges.get(name, {})}
        return {labels: cell.value for labels, cell in cells.items() if cell.value is not None}

    def summaries(self, name: str) -> dict[Labels, HistogramSummary]:
        """Return what is known of each series of a histogram; nothing for a name that there is not."""
        with self._lock:
            cells = list(self._histograms.get(name, {}).items())
        return {labels: found for labels, cell in cells if (found := cell.summary) is not None}

    def counters(self) -> dict[str, dict[Labels, float]]:
        """Return what every series of every counter is now."""
        return {name: self.values(name) for name in list(self._counters)}

    def gauges(self) -> dict[str, dict[Labels, float]]:
        """Return what every series of every gauge is now."""
        return {name: self.values(name) for name in list(self._gauges)}

    def histograms(self) -> dict[str, dict[Labels, HistogramSummary]]:
        """Return what is known of every series of every histogram."""
        return {name: self.summaries(name) for name in list(self._histograms)}

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


def _key(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items())) if len(labels) > 1 else tuple(labels.items())


def _reader(cells: Callable[[], Mapping[Labels, float]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    # the cells are read without our lock, so that a reader may itself use the manager
    def read(_options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        return [Observation(value, dict(labels)) for labels, value in cells().items()]

    return read
