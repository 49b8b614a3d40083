"""What the pool measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from plugin_pool.pool import ResourcePool


class PoolCollector:
    """Reports how many entities have which status."""

    name = "pool"

    def __init__(self, pool: ResourcePool) -> None:
        self._pool = pool

    def collect(self) -> Mapping[str, float]:
        """Return the numbers of entities in all, by status, and of the tasks that wait."""
        return {
            f"framework_pool_{name}": float(value) for name, value in asdict(self._pool.get_status_report()).items()
        }
