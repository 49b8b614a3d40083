"""`Chronicle`: turns each change of a pool into a name and some plain values; `Followed`, a pool that tells them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from plugin_pool.change import Change
from plugin_pool.entity import DRAINING, FAULTY
from plugin_pool.records import ReleaseReason, Tier
from plugin_pool.relay import Follower, Relay
from plugin_pool.watcher import Watcher

if TYPE_CHECKING:
    from plugin_pool.entity import Entity
    from plugin_pool.lease import Lease
    from plugin_pool.stock import Stock
    from plugin_pool.waiter import Waiter

NAMED = 10
"""So many entities are named; `count` says how many they are."""


class Chronicle(Watcher):
    """Tells a relay. Under the pool's lock only values are copied; what is made of them is up to the relay's thread."""

    def __init__(self, put: Callable[[str, dict[str, object]], None], clock: Callable[[], float]) -> None:
        self._put = put
        self._clock = clock

    def added(self, entity: Entity) -> None:
        """An entity is new."""
        self._entity("added", entity)

    def removed(self, entity: Entity) -> None:
        """An entity is gone."""
        self._entity("removed", entity)

    def serviced(self, entity: Entity, before: int) -> None:
        """An entity is faulty, draining, or in service again."""
        self._entity({FAULTY: "failed", DRAINING: "drained"}.get(entity.service, "repaired"), entity)

    def lent(self, lease: Lease, entities: Sequence[Entity]) -> None:
        """A task was given entities."""
        self._put("pool_task_granted", {**_lease(lease), **_named(entities)})

    def marked(self, lease: Lease) -> None:
        """A task does something else."""
        self._put("pool_lease_marked", {**_lease(lease), "usage": lease.usage.value})

    def limited(self, lease: Lease) -> None:
        """A lease ends at another time."""
        self._put("pool_lease_limited", {**_lease(lease), "ttl": lease.ttl})

    def returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str]
    ) -> None:
        """A task gave back entities."""
        change = "pool_lease_expired" if reason is ReleaseReason.EXPIRED else "pool_lease_released"
        self._put(change, {**_lease(lease), **_named(entities), "reason": reason.value, "faulty": len(faulty)})

    def refused(self, task_id: str, tier: Tier) -> None:
        """A task was sent away at once."""
        self._put("pool_task_refused", {"task": task_id, "waited": 0.0, "tier": tier.value})

    def interrupted(self) -> None:
        """A change was interrupted."""
        self._put("pool_change_interrupted", {})

    def joined(self, waiter: Waiter) -> None:
        """A task waits."""
        self._put(
            "pool_task_waiting",
            {"task": waiter.task_id, "requirements": str(waiter.request), "priority": waiter.priority},
        )

    def served(self, waiter: Waiter) -> None:
        """A task that waited was given what it waited for."""
        self._put("pool_task_served", {"task": waiter.task_id, "waited": self._clock() - waiter.since})

    def left(self, waiter: Waiter) -> None:
        """A task waits no more and got nothing."""
        told: dict[str, object] = {"task": waiter.task_id, "waited": self._clock() - waiter.since}
        if waiter.refused is None:
            self._put("pool_task_left", told)
        else:
            self._put("pool_task_refused", {**told, "tier": waiter.refused.value})

    def _entity(self, what: str, entity: Entity) -> None:
        self._put(f"pool_entity_{what}", {"entity": entity.id, "type": entity.group.shape.type})


class Followed:
    """Lets others follow what happens in a pool. Thread-safe."""

    _lock: threading.Lock
    _change: Change
    _stock: Stock
    _clock: Callable[[], float]

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody of every change from now on, under the pool's lock: see `Watcher`."""
        with self._lock, self._change:
            self._stock.watch(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell somebody no more; whoever is not told is fine."""
        with self._lock, self._change:
            self._stock.unwatch(watcher)

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Have a function called for each change from now on, in order; return what ends that.

        It is called in a thread of its own, never under the pool's lock, so it may take its time and may call the pool.
        While anybody follows, an allocation takes three to four times as long.

        Args:
            follower: Is given the name of the change and its details, as the reference lists them.
        """
        relay = Relay(follower)
        chronicle = Chronicle(relay.put, self._clock)
        ended = threading.Event()
        self.watch(chronicle)

        def end() -> None:
            if not ended.is_set():
                ended.set()
                self.unwatch(chronicle)
                relay.close()

        return end


def _lease(lease: Lease) -> dict[str, object]:
    return {"task": lease.task_id, "lease": lease.epoch}


def _named(entities: Sequence[Entity]) -> dict[str, object]:
    return {"resources": [one.id for one in entities[:NAMED]], "count": len(entities)}
