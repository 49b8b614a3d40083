"""`Metrics`: what applications measure with, and ask. The service `metrics` of every host is the one of the process."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework import MetricsManager
from framework.errors import InvalidRequestError

if TYPE_CHECKING:
    from plugin_system.alerts import Alert
    from plugin_system.collector import Collector, Deferred
    from plugin_system.series import Counter, Gauge, Histogram
    from plugin_system.system import SystemCollector

Elsewhere = Callable[[], Mapping[str, float]]

MOST_ALERTS = 1000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,254}")
_PARTS = ("system", "runtime", "tasks", "network", "custom")


class Metrics:
    """Gauges, counters, histograms and alerts of an application, and what the system uses. Thread-safe.

    Metrics are exported through OpenTelemetry like the framework's own, and are in `host.metrics` under their names.

    Args:
        manager: Where the metrics are kept; the framework's by default.
    """

    def __init__(self, manager: MetricsManager | None = None) -> None:
        self.manager = manager or MetricsManager.get_instance()
        self._lock = threading.Lock()
        self._names: dict[str, None] = {}
        self._alerts: dict[str, Alert] = {}
        self._attached: list[tuple[Sequence[Collector | Deferred], Elsewhere]] = []

    @functools.cached_property
    def system(self) -> SystemCollector:
        """What measures the system."""
        from plugin_system.system import SystemCollector  # here and below: the start of a host does not wait for it

        return SystemCollector()

    def counter(self, name: str, value: float = 1, **labels: str) -> Counter:
        """Add to a counter, and return its series; `add` on that is the fastest way to count.

        Args:
            name: Letters, digits, `_` and `.`, a letter first.
            value: 0 or more.
            labels: Few values each: every combination is kept for ever. After `MetricsManager.max_series` of them the
                rest is counted together.

        Raises:
            InvalidRequestError: The name or the value cannot be.
        """
        if name not in self._names:
            self._learn(name)
        try:
            return self.manager.counter(name, value, **labels)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error

    def gauge(self, name: str, value: float | None = None, **labels: str) -> Gauge:
        """Say what a number is now, and return its series; None says nothing.

        Raises:
            InvalidRequestError: The name or the value cannot be.
        """
        if name not in self._names:
            self._learn(name)
        try:
            return self.manager.gauge(name, value, **labels)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error

    def histogram(self, name: str, value: float | None = None, **labels: str) -> Histogram:
        """Record one of many values, and return their series; None records nothing.

        Raises:
            InvalidRequestError: The name or the value cannot be.
        """
        if name not in self._names:
            self._learn(name)
        try:
            return self.manager.histogram(name, value, **labels)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error

    def alert(self, name: str, definition: Mapping[str, Any] | None = None, **more: Any) -> Alert:
        """Watch a metric or a condition from now on, or raise an alert at once.

        `alert("hot", metric="system_cpu_percent", above=90, for_seconds=60)` watches; `alert("odd", {"level": "error",
        "message": "…"})` raises, until `clear_alert`. What was known under that name is replaced, unless it is raised
        once more.

        Args:
            name: Its name.
            definition: What `Alert` takes, as a mapping.
            more: The same, by name.

        Raises:
            InvalidRequestError: It is no alert that could be watched, or there are `MOST_ALERTS` already.
        """
        from plugin_system.alerts import from_mapping

        made = from_mapping(name, {**(definition or {}), **more})
        watched = bool(made.metric) or made.condition is not None
        with self._lock:
            known = self._alerts.get(name)
            if not watched and known is not None and not known.metric and known.condition is None:
                events, made = known.begin(made.message, made.level), known
            else:
                events = self._watch(name, made, known)
                if not watched:
                    events += made.begin()
        for event in events:
            event()
        return made

    def _watch(self, name: str, made: Alert, known: Alert | None) -> list[Callable[[], None]]:
        if known is None and len(self._alerts) >= MOST_ALERTS:
            raise InvalidRequestError(
                f"The alert {name!r} would be one more than the {MOST_ALERTS} that are allowed.",
                "Use one name for one sort of trouble, and say in the message where it is.",
                resource=name,
            )
        self._alerts[name] = made
        return known.end() if known is not None else []

    def clear_alert(self, name: str) -> None:
        """Clear an alert that the application raised, or stop watching; a name that is not known is fine."""
        with self._lock:
            found = self._alerts.pop(name, None)
            events = found.end() if found is not None else []
        for event in events:
            event()

    def alerts(self) -> list[dict[str, Any]]:
        """Return a row for each alert: its state, since when, how often, and what it watches."""
        with self._lock:
            return [one.row() for one in self._alerts.values()]

    def system_cpu(self) -> float:
        """Return how busy the processors are that this process may use, in percent, since they were last asked about.

        The very first call waits for 55 ms, because there is nothing to compare with.

        Raises:
            ResourceUnavailableError: This system does not say.
        """
        return self.system.cpu_percent()

    def system_memory(self) -> float:
        """Return how much is used of the memory that this process may use, in MiB.

        Raises:
            ResourceUnavailableError: This system does not say.
        """
        return self.system.memory().used / (1 << 20)

    def report(self) -> dict[str, dict[str, float]]:
        """Return what was measured last, in the parts `system`, `runtime`, `tasks`, `network` and `custom`."""
        parts: dict[str, dict[str, float]] = {name: {} for name in _PARTS}
        for collector in self._attached[-1][0] if self._attached else ():
            part = collector.noun if collector.noun in parts else "system"
            parts[part].update(collector.latest)
        return parts

    def names(self) -> list[str]:
        """Return the names of the metrics that were made here."""
        return list(self._names)

    def attach(self, collectors: Sequence[Collector | Deferred], elsewhere: Elsewhere) -> None:
        """Have alerts and the report look at what these collectors measure, and at what others measure elsewhere.

        Of several hosts in one process the one that came last is looked at.
        """
        self._attached.append((collectors, elsewhere))

    def detach(self, collectors: Sequence[Collector | Deferred]) -> None:
        """Do not look at these collectors any more."""
        self._attached = [one for one in self._attached if one[0] is not collectors]

    def look(self, now: float) -> None:
        """Look at every alert at a time, in seconds."""
        with self._lock:
            alerts = list(self._alerts.values())
        asked = [(one, one.ask()) for one in alerts]
        with self._lock:
            present = [(one, said) for one, said in asked if self._alerts.get(one.name) is one]
            events = [event for one, said in present for event in one.look(self._lookup, now, said)]
        for event in events:  # not under the lock: who listens may take its time
            event()

    def start_anew(self) -> None:
        """Be ready in a forked child: another thread may have held a lock, and open files are about the parent."""
        self._lock = threading.Lock()
        vars(self).pop("system", None)

    def _lookup(self, name: str) -> float | None:
        if not self._attached:
            return None
        collectors, elsewhere = self._attached[-1]
        for collector in collectors:
            if name in collector.latest:
                return collector.latest[name]
        return elsewhere().get(name)

    def _learn(self, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise InvalidRequestError(
                f"A metric got the name {name[:300]!r}; allowed are up to 255 letters, digits, '_' and '.', "
                "a letter first."
            )
        from plugin_system.names import NAMES

        if name in NAMES:
            raise InvalidRequestError(
                f"A metric got the name {name!r}, which the plugin system measures itself.", "Choose another name."
            )
        self._names[name] = None


metrics = Metrics()
os.register_at_fork(after_in_child=metrics.start_anew)
counter, gauge, histogram, alert = metrics.counter, metrics.gauge, metrics.histogram, metrics.alert
system_cpu, system_memory = metrics.system_cpu, metrics.system_memory
