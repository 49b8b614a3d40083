"""Finds out whether waiting for more would never end.

A task that holds something and waits for more can block others that do the same. Take those for finished, one after the
other, that can get what they want from all that is not held by the rest; whoever remains waits for ever (Coffman,
Elphick and Shoshani 1971). Tasks that hold something and wait for nothing are taken to release it some time.
"""

from __future__ import annotations

from collections.abc import Iterable

from plugin_pool.entity import Entity
from plugin_pool.planner import Planner
from plugin_pool.records import Tier
from plugin_pool.waiter import Waiter


def waits_for_ever(planner: Planner, waiter: Waiter, others: Iterable[Waiter]) -> tuple[str, ...]:
    """Return the tasks that would wait for each other for ever, the waiter's first; none when it is not among them."""
    rest = [waiter, *(one for one in others if one.extends is not None)]
    while True:
        done = [one for one in rest if _can_finish(planner, one, rest)]
        rest = [one for one in rest if one not in done]
        if waiter not in rest:
            return ()
        if not done:
            return tuple([one.task_id for one in rest])


def _can_finish(planner: Planner, waiter: Waiter, rest: list[Waiter]) -> bool:
    return planner.plan(waiter.request, Tier.BUSY, aside=[*waiter.own, *_full(rest)]).satisfied


def _full(rest: list[Waiter]) -> list[Entity]:
    """Return the entities that have no room for others as long as these wait."""
    leases = {one.extends for one in rest}
    entities = {entity for one in rest if one.extends for entity in one.extends.entities}
    return [one for one in entities if len(leases.intersection(one.holders)) >= one.group.capacity]
