"""`Mending`: makes a pool whole again, from its entities, its leases and the tasks that wait, which nothing halves.

Each change is decided by one store: an entity or a lease is in its table or not, a service is one or the other. What
takes several of them says so first (`Intent`, `Move`), and is finished here. All the rest follows, and is worked out
anew: who holds an entity, bags, counts, queues, when leases end. So this may be interrupted as well, and begun again.
"""

from __future__ import annotations

from framework import ResourceStatus
from plugin_pool.entity import IN_SERVICE, REMOVED, Entity
from plugin_pool.expiry import Expiry
from plugin_pool.group import Group
from plugin_pool.line import Line
from plugin_pool.queues import Move
from plugin_pool.records import ReleaseReason, Tier
from plugin_pool.stock import Stock


class Mending:
    """Makes whole what was interrupted. The pool's lock must be held.

    Args:
        stock: What there is.
        line: Who waits.
        expiry: When leases end.
    """

    def __init__(self, stock: Stock, line: Line, expiry: Expiry) -> None:
        self._stock = stock
        self._line = line
        self._expiry = expiry

    def mend(self) -> None:
        """Do everything, in an order in which each step needs only what is whole already."""
        stock = self._stock
        stock.index.mend()
        if stock.index.steering is not None:
            stock.heed(stock.index.steering)
        self._finish_intent()
        self._find_holders()
        self._fill_groups()
        self._count()
        for watcher in stock.watchers:
            watcher.interrupted()  # before anybody is told of more
        self._line.forget_queues()
        if self._line.move is not None:
            self._finish_move(self._line.move)
            self._line.move = None
        self._queue_anew()
        self._expiry.mend(stock.leases.values())
        self._line.resume()

    def _finish_intent(self) -> None:
        stock, intent = self._stock, self._stock.intent
        if intent is not None:
            if intent.lease is not None:
                if intent.reason is not ReleaseReason.COMPLETED:
                    stock.tally.ended[intent.reason] = intent.ended
                if stock.leases.get(intent.lease.task_id) is intent.lease:
                    del stock.leases[intent.lease.task_id]
            for one in intent.entities:
                one.service = intent.service
            stock.intent = None
        for one in [one for one in stock.entities.values() if one.service == REMOVED]:
            del stock.entities[one.id]

    def _find_holders(self) -> None:
        for entity in self._stock.entities.values():
            entity.holders = ()
        for lease in self._stock.leases.values():
            for entity in lease.entities:
                entity.holders = (*entity.holders, lease)

    def _fill_groups(self) -> None:
        index = self._stock.index
        members: dict[Group, list[Entity]] = {group: [] for group in index.groups}
        for entity in self._stock.entities.values():
            members[entity.group].append(entity)
        for group, entities in members.items():
            group.mend(entities, index.bag(group))

    def _count(self) -> None:
        stock = self._stock
        known = [one for one in stock.out_of_service if one.id in stock.entities]
        out = [one for one in [*known, *stock.entities.values()] if one.service != IN_SERVICE]
        stock.out_of_service.clear()
        stock.out_of_service.update(dict.fromkeys(out))
        stock.counts = dict.fromkeys(ResourceStatus, 0)
        for entity in stock.entities.values():
            stock.counts[entity.status] += 1

    def _finish_move(self, move: Move) -> None:
        """Let a task go on that has got what it was being given, or was sent away; let it wait again otherwise."""
        waiter, lease = move.waiter, self._stock.leases.get(move.waiter.task_id)
        given = False
        if lease is not None and waiter.had is not None and len(lease.entities) > len(waiter.had):
            waiter.lease, waiter.got, given = lease, lease.entities[len(waiter.had) :], True
        if move.back and not waiter.settled:
            waiter.had = None
            self._line.waiters[waiter.task_id] = waiter
            return
        if self._line.waiters.get(waiter.task_id) is waiter:
            del self._line.waiters[waiter.task_id]
        if move.wakes and (given or waiter.refused is not None) and not waiter.wake():
            self._line.take_back(waiter)

    def _queue_anew(self) -> None:
        line = self._line
        for waiter in sorted(line.waiters.values(), key=lambda one: one.since):
            if waiter.extends is not None and self._stock.leases.get(waiter.task_id) is not waiter.extends:
                waiter.refused = Tier.BUSY
            if waiter.refused is None:
                line.enqueue(waiter)
            else:
                waiter.wake()
                del line.waiters[waiter.task_id]
