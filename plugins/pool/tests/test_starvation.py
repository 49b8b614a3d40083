"""The simulation that shows why gangs need earmarks: two types, ten entities each, single tasks and gangs of eight.

A service takes an exponential time, one second on average. A gang of type `a` comes every 60 s; single tasks of both
types come so often that the load is 0.92.
"""

from __future__ import annotations

import heapq
import itertools
import random
from typing import NamedTuple

from plugin_pool import ResourcePool
from plugin_pool.waiter import ThreadWaiter

SECONDS = 1200
LOAD = 0.92
EVERY = 60.0
GANG = 8
SIZE = 10


class Simulated(ThreadWaiter):
    """Waits in the time of the simulation."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        return True


class Outcome(NamedTuple):
    gangs: list[float]
    singles: list[float]
    unserved: int
    busy: float


def simulate(patience: float, seed: int = 1) -> Outcome:
    """Return how long gangs and single tasks waited, and which share of the entities was in use."""
    chance, numbers = random.Random(seed), itertools.count()
    now = 0.0
    pool = ResourcePool(clock=lambda: now, patience=patience)
    for kind in "ab":
        for number in range(SIZE):
            pool.add_resource({"id": f"{kind}{number}", "type": kind})
    gang_share = GANG / EVERY / SIZE
    rates = {"a": SIZE * (LOAD - gang_share), "b": SIZE * LOAD}
    requests = {kind: pool.prepare({"type": kind}) for kind in "ab"}
    requests["gang"] = pool.prepare({"type": "a", "count": GANG})
    events: list[tuple[float, int, str, Simulated | None]] = []
    for kind, rate in rates.items():
        heapq.heappush(events, (chance.expovariate(rate), next(numbers), kind, None))
    heapq.heappush(events, (EVERY, next(numbers), "gang", None))
    waiting: list[Simulated] = []
    waits: dict[bool, list[float]] = {True: [], False: []}
    used = 0.0
    while events and events[0][0] < SECONDS:
        now, _, kind, ending = heapq.heappop(events)
        if ending is not None:
            pool.release_resources(ending.task_id)
        else:
            again = EVERY if kind == "gang" else chance.expovariate(rates[kind])
            heapq.heappush(events, (now + again, next(numbers), kind, None))
            waiter = Simulated(f"{kind}-{next(numbers)}", requests[kind])
            pool._ask(waiter, None)
            waiting.append(waiter)
        for waiter in [one for one in waiting if one.lease]:
            waiting.remove(waiter)
            waits[len(waiter.got) > 1].append(now - waiter.since)
            length = chance.expovariate(1.0)
            used += length * len(waiter.got)
            heapq.heappush(events, (now + length, next(numbers), "end", waiter))
    return Outcome(waits[True], waits[False], len([one for one in waiting if one.request.units > 1]), used)


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * (len(values) - 1))]


def test_patience_bounds_the_wait_of_gangs_and_costs_nothing_in_use() -> None:
    free, bounded = simulate(patience=float("1e9")), simulate(patience=2.0)

    assert quantile(free.gangs, 0.5) > 20, "without earmarks gangs starve"
    assert quantile(bounded.gangs, 0.5) < 6
    assert quantile(bounded.gangs, 0.99) < 12
    assert bounded.unserved == 0
    assert bounded.busy > 0.98 * free.busy
    assert quantile(bounded.singles, 0.99) < quantile(free.singles, 0.99) + 5
