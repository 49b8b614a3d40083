"""Merges the entities that a configuration lists with those that were kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from framework import ResourceStatus, get_logger
from plugin_pool import reading
from plugin_pool.keeping.kept import KeptPool
from plugin_pool.records import ResourceInstance


def merge(pool: KeptPool, resources: Iterable[object]) -> None:
    """Let a kept pool have the entities of a configuration.

    One that it lacks is added. One that is described otherwise now is made anew, as faulty or draining as it was. One
    that was configured once and is not any more is removed. While a task holds one of the latter two, it stays as it
    is: the changed one until the next time, the other one is drained. What programs added is left alone.

    Raises:
        InvalidRequestError: The description of an entity is wrong, or two have one id.
    """
    given = [reading.entity(one) for one in resources]
    wanted: set[str] = set()
    for one in given:
        found = pool.find_resource(one.id)
        if found is None or one.id in wanted:  # then it is refused, as it is twice in the configuration
            pool.add_resource(one)
        elif _described(found) != one:
            _change(pool, found, one)
        wanted.add(one.id)
    gone = [pool.find_resource(one) for one in sorted(pool.configured - wanted)]
    left = {one.id for one in gone if one is not None and not _remove(pool, one)}
    pool.note_configured(wanted | left)


def _described(found: ResourceInstance) -> ResourceInstance:
    """Return what an entity is without how it is."""
    return replace(found, status=ResourceStatus.AVAILABLE, tasks=(), draining=False)


def _change(pool: KeptPool, found: ResourceInstance, one: ResourceInstance) -> None:
    if found.tasks:
        get_logger().warning("pool_entity_differs", resource=one.id, held_by=found.tasks[0], until="the next start")
        return
    pool.remove_resource(one.id)
    pool.add_resource(one)
    if found.draining:
        pool.drain(one.id)
    elif found.status is ResourceStatus.ERROR:
        pool.quarantine_resource(one.id)


def _remove(pool: KeptPool, found: ResourceInstance) -> bool:
    if not found.tasks:
        pool.remove_resource(found.id)
        return True
    pool.drain(found.id)
    get_logger().warning("pool_entity_unconfigured", resource=found.id, held_by=found.tasks[0], until="the next start")
    return False
