"""`Measures`: exports what a pool counts through OpenTelemetry; each is read only when an exporter asks.

A histogram cannot be read, only written to, which would cost more than an allocation. So the waits are counted in cells
of the pool's own and exported as Prometheus spells a histogram: `…_bucket` with the label `le`, `…_sum` and `…_count`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import NamedTuple

from framework import MetricsManager
from plugin_pool.pool import ResourcePool
from plugin_pool.records import Tier
from plugin_pool.tally import BOUNDS, PoolStatistics

Labels = tuple[tuple[str, str], ...]
Read = Callable[[], Mapping[Labels, float]]

REASONS = {Tier.FREE: "kept", Tier.BUSY: "busy", Tier.ERROR: "error", Tier.IMPOSSIBLE: "impossible"}
"""Why a task waits, or was refused: `kept` is what is free but is kept for a task that waits longer."""
UNKNOWN = "unknown"
"""Why tasks wait with more different requests than are looked at."""


def waiting_by_reason(pool: ResourcePool) -> dict[str, int]:
    """Return how many tasks wait for what reason."""
    counts = dict.fromkeys((*REASONS.values(), UNKNOWN), 0)
    for one in pool.get_waiting():
        counts[REASONS[one.tier]] += one.tasks
    counts[UNKNOWN] = max(pool.get_status_report().waiting - sum(counts.values()), 0)
    return counts


class Measure(NamedTuple):
    """One metric: its name after `framework_pool_`, its unit, `gauge` or `counter`, and how it is read."""

    name: str
    unit: str
    sort: str
    read: Callable[[ResourcePool], Mapping[Labels, float]]


def _entities(pool: ResourcePool) -> Mapping[Labels, float]:
    report = asdict(pool.get_status_report())
    return _by("status", {one: report[one] for one in report if one not in ("total_resources", "waiting")})


def _types(pool: ResourcePool) -> Mapping[Labels, float]:
    return {
        (("state", state), ("type", name)): float(value)
        for name, count in pool.get_type_counts().items()
        for state, value in count._asdict().items()
    }


def _buckets(pool: ResourcePool) -> Mapping[Labels, float]:
    waits = pool.get_statistics().waits
    return _by("le", {f"{bound:g}" if bound <= BOUNDS[-1] else "+Inf": value for bound, value in waits.items()})


def _by(label: str, values: Mapping[str, float]) -> dict[Labels, float]:
    return {((label, name),): float(value) for name, value in values.items()}


def _waiting(pool: ResourcePool) -> Mapping[Labels, float]:
    return _by("reason", waiting_by_reason(pool))


def _releases(pool: ResourcePool) -> Mapping[Labels, float]:
    return _by("reason", {why.value: value for why, value in pool.get_statistics().releases.items()})


def _refusals(pool: ResourcePool) -> Mapping[Labels, float]:
    return _by("reason", {REASONS[tier]: value for tier, value in pool.get_statistics().refusals.items()})


def _count(of: Callable[[PoolStatistics], float]) -> Callable[[ResourcePool], Mapping[Labels, float]]:
    return lambda pool: {(): float(of(pool.get_statistics()))}


MEASURES = (
    Measure("entities", "{entity}", "gauge", _entities),
    Measure("entities_by_type", "{entity}", "gauge", _types),
    Measure("tasks_waiting", "{task}", "gauge", _waiting),
    Measure("leases_held", "{lease}", "gauge", _count(lambda one: one.held)),
    Measure("grants", "{lease}", "counter", _count(lambda one: one.grants)),
    Measure("releases", "{lease}", "counter", _releases),
    Measure("refusals", "{task}", "counter", _refusals),
    Measure("left", "{task}", "counter", _count(lambda one: one.left)),
    Measure("wait_seconds_bucket", "{task}", "counter", _buckets),
    Measure("wait_seconds_sum", "s", "counter", _count(lambda one: one.waited)),
    Measure("wait_seconds_count", "{task}", "counter", _count(lambda one: max(one.waits.values()))),
)
"""All that is exported."""


class Measures:
    """Has the metrics of a pool exported, from `start` to `stop`.

    Args:
        pool: What is measured.
        manager: Through whom; that of the process when none is given.
    """

    def __init__(self, pool: ResourcePool, manager: MetricsManager | None = None) -> None:
        self._manager = manager or MetricsManager.get_instance()
        self._reads: dict[str, Read] = {f"framework_pool_{one.name}": _reader(one, pool) for one in MEASURES}

    def start(self) -> None:
        """Begin."""
        for one, (name, read) in zip(MEASURES, self._reads.items(), strict=True):
            self._manager.observe(name, read, unit=one.unit, rises=one.sort == "counter")

    def stop(self) -> None:
        """End; what was counted stays, as a counter must not fall."""
        for name, read in self._reads.items():
            self._manager.forget(name, read)


def _reader(one: Measure, pool: ResourcePool) -> Read:
    return lambda: one.read(pool)
