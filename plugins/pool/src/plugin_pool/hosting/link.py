"""`Link`: lets what the ledger says of entities follow what the pool says of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from plugin_pool.records import ReleaseReason
from plugin_pool.watcher import Watcher

if TYPE_CHECKING:
    from plugin_pool.entity import Entity
    from plugin_pool.hosting.pooled import PooledEntities
    from plugin_pool.lease import Lease
    from plugin_pool.pool import ResourcePool


class Link(Watcher):
    """Watches a pool while anything of it is lent through a host; who uses only the pool itself pays nothing.

    The pool tells under its lock, where nothing of anybody else may run. So all that is done there is to ask the event
    loop on which an entity was lent to look at it.
    """

    def __init__(self, pool: ResourcePool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._followed: dict[int, tuple[asyncio.AbstractEventLoop, weakref.ref[PooledEntities]]] = {}

    def follow(self, held: Lease, resource: PooledEntities) -> None:
        """Let a resource follow a lease of the pool. To be called on the loop on which it is lent."""
        with self._lock:
            if not self._followed:
                self._pool.watch(self)
            loop, reference = asyncio.get_running_loop(), weakref.ref(resource)
            self._followed[held.epoch] = loop, reference
        loop.call_soon(_adjust, reference)  # for what became of it after it was given, and before this

    def forget(self, held: Lease) -> None:
        """Let nothing follow a lease any more."""
        with self._lock:
            if self._followed.pop(held.epoch, None) is not None and not self._followed:
                self._pool.unwatch(self)

    def marked(self, lease: Lease) -> None:
        """A task does something else: so does the resource."""
        self._look(lease)

    def returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str]
    ) -> None:
        """Somebody took back what a task held: so is the resource."""
        self._look(lease)

    def _look(self, lease: Lease) -> None:
        found = self._followed.get(lease.epoch)
        if found is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all that was lent on it
                found[0].call_soon_threadsafe(_adjust, found[1])


def _adjust(reference: weakref.ref[PooledEntities]) -> None:
    resource = reference()
    if resource is not None:
        resource.adjust()
