"""Rows: entities as commands print them."""

from __future__ import annotations

from typing import Any

from plugin_pool.records import ResourceInstance


def row(one: ResourceInstance) -> dict[str, Any]:
    """Return what is printed of an entity, its capabilities as the configuration writes them."""
    return {
        "id": one.id,
        "type": one.type,
        "name": one.name,
        "status": one.status.value,
        "capabilities": {able.type: able.level for able in one.capabilities},
        "labels": one.labels,
        "capacity": one.capacity,
        "tasks": one.tasks,
        "draining": one.draining,
    }
