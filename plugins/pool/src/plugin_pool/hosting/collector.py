"""What the pool measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from plugin_pool.hosting.measures import REASONS, waiting_by_reason
from plugin_pool.pool import ResourcePool


class PoolCollector:
    """Reports how many entities have which status, and what the pool counted.

    Args:
        pool: What is measured.
        asked: Called each time, for those who want to look at the pool as often as it is measured.
    """

    name = "pool"

    def __init__(self, pool: ResourcePool, asked: Callable[[], object] | None = None) -> None:
        self._pool = pool
        self._asked = asked

    def collect(self) -> Mapping[str, float]:
        """Return the numbers of entities in all and by status, of tasks that wait, and what was counted so far."""
        if self._asked is not None:
            self._asked()
        counts = self._pool.get_statistics()
        found: dict[str, float] = asdict(self._pool.get_status_report())
        found |= {f"waiting_{name}": value for name, value in waiting_by_reason(self._pool).items()}
        found |= {"leases_held": counts.held, "grants": counts.grants, "left": counts.left}
        found |= {f"releases_{reason.value}": value for reason, value in counts.releases.items()}
        found |= {f"refusals_{REASONS[tier]}": value for tier, value in counts.refusals.items()}
        found |= {"wait_seconds_sum": counts.waited, "wait_seconds_count": max(counts.waits.values())}
        return {f"framework_pool_{name}": float(value) for name, value in found.items()}
