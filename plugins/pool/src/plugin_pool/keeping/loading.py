"""Puts what was kept of a pool into an empty one."""

from __future__ import annotations

from framework import ResourceStatus
from plugin_pool.entity import new_entity
from plugin_pool.keeping.session import Session
from plugin_pool.keeping.state import State, StoredClass, StoredLease
from plugin_pool.lease import Lease
from plugin_pool.pool import ResourcePool
from plugin_pool.records import Capability, ResourceInstance
from plugin_pool.stock import Stock


def load(pool: ResourcePool, stock: Stock, state: State, session: Session, clock: float) -> list[Lease]:
    """Let an empty stock have what there was, and return its leases; the clock is the pool's.

    Leases that have a time to live have the rest of it, at least 0 and at most all.
    """
    for one in state.classes.values():
        _load_class(stock, one, state.names)
    stock.index.service += 1
    now = session.now()
    leases = [_lease(pool, stock, one, clock, now) for one in state.leases.values()]
    for name, service in state.services.items():
        if service:
            stock.set_service(stock.entities[name], service)
    return leases


def _load_class(stock: Stock, stored: StoredClass, names: dict[str, str]) -> None:
    if not stored.members:
        return
    capabilities = tuple([Capability(*one) for one in stored.capabilities.items()])
    like = ResourceInstance("", stored.type, capabilities=capabilities, labels=stored.labels, capacity=stored.capacity)
    group, shown = stock.index.group(like), names.get
    entities = [new_entity(one, shown(one, ""), group) for one in stored.members]
    stock.entities.update(zip(stored.members, entities, strict=True))
    group.fill(entities)


def _lease(pool: ResourcePool, stock: Stock, stored: StoredLease, clock: float, now: float) -> Lease:
    lease = Lease(pool, stored.task_id, stored.epoch, stored.since, ())
    lease.usage = ResourceStatus(stored.usage)
    if stored.ttl is not None and stored.ends is not None:
        lease.ttl = stored.ttl
        lease.expires = clock + min(max(stored.ends - now, 0.0), stored.ttl)
    stock.restore(lease, [stock.entities[one] for one in stored.ids])
    return lease
