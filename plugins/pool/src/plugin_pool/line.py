"""`Line`: the tasks that wait, and who is served next.

Tasks with equal requests form a queue; only its first can be next. What becomes free wakes only queues that it fits,
in the order of the keys of their firsts, and is handed over directly: nobody can snatch it in between. A key is the
time at which a task began to wait, less so many seconds for each step of its priority. So everybody's turn comes nearer
at the same rate, nothing is ever sorted anew, and a task is overtaken only by those that came at most that much later.

Whoever fits may overtake a gang (a task that needs several entities) that cannot be served yet, so that nothing idles.
But once a gang has waited for `patience`, it comes first in all plans of those whose key is greater: they get nothing
that the gang could use. These earmarks exist only while planning; nothing is held, so nothing can deadlock, and who has
a smaller key passes by. Gangs that have no class in common can have earmarks at the same time.
"""

from __future__ import annotations

import heapq
import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from plugin_pool.deadlock import waits_for_ever
from plugin_pool.entity import Entity
from plugin_pool.group import Group
from plugin_pool.planner import Plan
from plugin_pool.queues import Key, Move, Queue
from plugin_pool.records import Tier
from plugin_pool.request import Request
from plugin_pool.stock import Stock
from plugin_pool.waiter import Waiter

_head = operator.attrgetter("head")


class Line:
    """All queues of a pool. Its lock must be held.

    Args:
        stock: What there is.
        clock: Returns seconds.
        patience: After so many seconds a gang gets earmarks.
        aging: So many seconds of waiting are worth as much as one step of priority.
        lend: Gives a waiter what a plan says.
        take_back: Ends a lease that could not be handed over.
    """

    def __init__(
        self,
        stock: Stock,
        clock: Callable[[], float],
        *,
        patience: float,
        aging: float,
        lend: Callable[[Waiter, Plan], None],
        take_back: Callable[[Waiter], None],
    ) -> None:
        self._stock = stock
        self._clock = clock
        self._patience = patience
        self._aging = aging
        self._lend = lend
        self.take_back = take_back
        self._numbers = itertools.count()
        self.waiters: dict[str, Waiter] = {}
        self._queues: dict[object, Queue] = {}
        self._gangs: set[Queue] = set()
        self._by_name: dict[str, set[Queue]] = {}
        self.move: Move | None = None

    def queues(self, most: int) -> list[Queue]:
        """Return the queues, at most so many."""
        return list(itertools.islice(self._queues.values(), most))

    @property
    def has_gangs(self) -> bool:
        """True while a task waits that needs several entities."""
        return bool(self._gangs)

    def key_of(self, waiter: Waiter) -> Key:
        """Give a task that asks now its key."""
        waiter.since = self._clock()
        waiter.key = (waiter.since - self._aging * waiter.priority, next(self._numbers))
        return waiter.key

    def join(self, waiter: Waiter) -> None:
        """Let a task that has a key wait."""
        self.enqueue(waiter)
        self.waiters[waiter.task_id] = waiter
        self._stock.tally.stirred()
        for watcher in self._stock.watchers:
            watcher.joined(waiter)

    def enqueue(self, waiter: Waiter) -> None:
        """Put a task into the queue of those that wait for the same."""
        queue = waiter.request.queue if waiter.extends is None else None
        if queue is None or not queue.waiters:
            name = _name(waiter)
            queue = self._queues.get(name) or self._open(name, waiter.request)
            if waiter.extends is None:
                waiter.request.queue = queue
        queue.add(waiter)
        waiter.queue = queue

    def leave(self, waiter: Waiter) -> None:
        """Let a task wait no more, woken where it was refused; what was earmarked for it goes to others."""
        request = waiter.request
        self.move = Move(waiter, back=False)
        self._remove(waiter)
        self._stock.tally.leave(waiter.refused)
        for watcher in self._stock.watchers:
            watcher.left(waiter)
        if waiter.refused is not None:
            waiter.wake()
        self.move = None
        if request.units > 1:
            self._serve(self._touching(request), self._groups_of(request))

    def came(self, group: Group) -> None:
        """Take note that a group has its first entity."""
        for queue in self._queues.values():
            queue.request.refresh()
            if any(line.signature.mask >> group.number & 1 for line in queue.request.lines):
                group.waiting.add(queue)

    def serve(self, entities: Collection[Entity]) -> None:
        """Hand entities that have room again to those who wait for them."""
        if not self._queues:
            return
        if len(entities) == 1 and not self._gangs and not self._by_name:
            self._hand_over(next(iter(entities)).group)
            return
        queues, groups = self._fitting(entities), {entity.group for entity in entities}
        for gang in self.privileged() if self._gangs else ():
            if gang.queue in queues:  # it may leave to others now what it kept from them
                queues |= self._touching(gang.request)
                groups |= self._groups_of(gang.request)
        self._serve(queues, groups)

    def recheck(self, entities: Iterable[Entity]) -> None:
        """Send away those who will never get what they wait for, now that entities are out of service."""
        if self._queues:
            self._recheck(self._fitting(entities))

    def _recheck(self, queues: Iterable[Queue]) -> None:
        for queue in list(queues):
            if not queue.waiters:  # all were served when others were sent away
                continue
            tier = self._stock.planner.tier(queue.request, queue.first.own)
            for waiter in list(queue.waiters.values()):
                if not waiter.settled and tier.severity > waiter.until.severity:
                    self.refuse(waiter, tier)
        self._end_deadlocks()

    def refuse(self, waiter: Waiter, tier: Tier) -> None:
        """Send a task away that waits."""
        waiter.refused = tier
        self.leave(waiter)

    def lend(self, waiter: Waiter, plan: Plan) -> None:
        """Give a task that does not wait what a plan says."""
        self.move = Move(waiter, back=False, wakes=False)
        self._lend(waiter, plan)
        self.move = None

    def forget_queues(self) -> None:
        """Forget in which queues tasks wait, after an interrupt."""
        for queue in self._queues.values():
            queue.waiters.clear()
        for group in self._stock.index.groups:
            group.waiting.clear()
        self._queues.clear()
        self._gangs.clear()
        self._by_name.clear()

    def resume(self) -> None:
        """Serve all who can be, and send all away who wait in vain, after an interrupt; everything must be whole."""
        if self._queues:
            groups = {one for one in self._stock.index.groups if one.room}
            self._serve(list(self._queues.values()), groups)
            self._recheck(self._queues.values())

    def _end_deadlocks(self) -> None:
        """Send away, the last first, who came to wait for ever since what they could have had is out of service."""
        for waiter in sorted(self._extending(), key=lambda one: one.key, reverse=True):
            tasks = () if waiter.settled else waits_for_ever(self._stock.planner, waiter, self.waiters.values())
            if tasks:
                waiter.deadlock = tasks
                self.refuse(waiter, Tier.BUSY)

    def _extending(self) -> Iterator[Waiter]:
        """Yield the tasks that hold something and want more."""
        return (one for queue in self._queues.values() for one in [queue.first] if one.extends is not None)

    def plan(
        self, request: Request, key: Key | None = None, aside: Sequence[Entity] = (), task_id: str | None = None
    ) -> Plan:
        """Return what a request would take now, by itself or as the waiter with a key."""
        before = [one.request for one in self.privileged() if key is None or one.key < key] if self._gangs else ()
        return self._stock.planner.plan(request, before=before, aside=aside, task_id=task_id)

    def tier(self, request: Request, aside: Sequence[Entity] = ()) -> Tier:
        """Return what it would take to meet a request that cannot be met now.

        That what is lacking is kept for a gang is the one reason for which it can be `free`.
        """
        return self._stock.planner.tier(request, aside, better=Tier.FREE if self._gangs else Tier.BUSY)

    def privileged(self) -> list[Waiter]:
        """Return the gangs that have earmarks."""
        latest = self._clock() - self._patience
        firsts = [one for queue in self._gangs if (one := queue.first).since <= latest]
        found, taken = [], 0
        for waiter in sorted(firsts, key=lambda one: one.key):
            waiter.request.refresh()
            if not waiter.request.mask & taken:
                found.append(waiter)
                taken |= waiter.request.mask
        return found

    def ahead_of(self, waiter: Waiter) -> int:
        """Return how many tasks are served before this one where they compete for the same."""
        queues = self._touching(waiter.request)
        return sum([one.key < waiter.key for queue in queues for one in queue.waiters.values()])

    def _groups_of(self, request: Request) -> set[Group]:
        """Return the groups that a request may have kept others from."""
        names = [self._stock.entities[one] for one in _names(request) if one in self._stock.entities]
        return {*_groups(request), *(one.group for one in names)}

    def _hand_over(self, group: Group) -> None:
        """Do what `_serve` does, quicker, where nobody waits for several entities or for certain ones."""
        while group.room and group.waiting:
            waiter = min(group.waiting, key=_head).first
            plan = self._plan_for(waiter)
            if not plan.satisfied:  # it has this very entity already, and wants another one
                self._serve(group.waiting, {group})
                return
            self._grant(waiter, plan)

    def _serve(self, queues: Iterable[Queue], groups: set[Group]) -> None:
        """Serve the firsts of some queues as long as there is room in the groups of which they may not have known."""
        heap = [(queue.head, queue) for queue in queues]
        heapq.heapify(heap)
        while heap and any(group.room for group in groups):
            queue = heapq.heappop(heap)[1]
            if not queue.waiters:
                continue
            waiter = queue.first
            plan = self._plan_for(waiter)
            if not plan.satisfied:
                continue
            again = {queue}
            if queue.request.units > 1:
                again |= self._touching(queue.request)
                groups = groups | self._groups_of(queue.request)
            if not self._grant(waiter, plan):
                again |= self._fitting(waiter.got)
            known = {one for _, one in heap}
            for other in again - known:
                if other.waiters:
                    heapq.heappush(heap, (other.head, other))

    def _plan_for(self, waiter: Waiter) -> Plan:
        return self.plan(waiter.request, waiter.key, waiter.own, waiter.task_id)

    def _grant(self, waiter: Waiter, plan: Plan) -> bool:
        """Hand over what a plan says; False when nobody is there any more to take it."""
        self.move = Move(waiter, back=True)
        self._remove(waiter)
        self._lend(waiter, plan)
        woken = waiter.wake()
        if woken:
            self._stock.tally.waits.add(self._clock() - waiter.since)
            for watcher in self._stock.watchers:
                watcher.served(waiter)
        else:
            self._stock.tally.leave(None)
            for watcher in self._stock.watchers:
                watcher.left(waiter)
            self.take_back(waiter)
        self.move = None
        return woken

    def _open(self, name: object, request: Request) -> Queue:
        queue = self._queues[name] = Queue(name, request)
        request.refresh()
        for group in _groups(request):
            group.waiting.add(queue)
        for one in _names(request):
            self._by_name.setdefault(one, set()).add(queue)
        if request.units > 1:
            self._gangs.add(queue)
        return queue

    def _remove(self, waiter: Waiter) -> None:
        del self.waiters[waiter.task_id]
        queue = waiter.queue
        queue.remove(waiter)
        if queue.waiters:
            return
        del self._queues[queue.name]
        self._gangs.discard(queue)
        queue.request.refresh()
        for group in _groups(queue.request):
            group.waiting.discard(queue)
        for one in _names(queue.request):
            self._by_name[one].discard(queue)
            if not self._by_name[one]:
                del self._by_name[one]

    def _fitting(self, entities: Iterable[Entity]) -> set[Queue]:
        found: set[Queue] = set()
        for entity in entities:
            found |= entity.group.waiting
            found |= self._by_name.get(entity.id, set())
        return found

    def _touching(self, request: Request) -> set[Queue]:
        """Return the queues that compete with a request for anything."""
        found: set[Queue] = set()
        groups = set(_groups(request))
        for group in groups:
            found |= group.waiting
        for name, queues in self._by_name.items():
            if name in self._stock.entities and self._stock.entities[name].group in groups:
                found |= queues
        for name in _names(request):
            found |= self._by_name.get(name, set())
            if name in self._stock.entities:
                found |= self._stock.entities[name].group.waiting
        return found


def _name(waiter: Waiter) -> object:
    """Return what tasks of one queue have in common; a task that wants more has a queue for itself."""
    return waiter.request.key, waiter.extends.epoch if waiter.extends else 0


def _groups(request: Request) -> Iterator[Group]:
    request.refresh()  # those that came since it was last planned for are looked at as well
    return (group for line in request.lines for group in line.signature.groups)


def _names(request: Request) -> set[str]:
    return {name for line in request.named for name in line.requirement.ids}
