"""What waiting costs in the plugin `pool`: choosing whom to serve among many, handing over, and waking.

    python tests/benchmarks/pool_waiters.py [--rounds 9]

Among 100, 10,000 and 100,000 tasks that wait for 50 different things, any of which each of 100 entities would do for:
only the choice of who is next, beside a look at everybody who waits; a release with the choice, the plan and the
handing over; the same with another task that joins in its place. Figures are the minimum over rounds of the mean
processor time over a batch; the variants take turns.

Waking is wall time: from just before somebody gives back the only thing there is until the one that waits for it goes
on, the median of a batch, and the minimum of that over rounds; in threads beside `threading.Condition`, `queue.Queue`
and the QueuePool of SQLAlchemy (where it is installed: `sqlalchemy`), on an event loop beside `asyncio.Queue`.
"""

import argparse
import asyncio
import importlib
import itertools
import os
import queue
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.benchmarks.pool import Measure, best, each, show

from plugin_pool import ResourcePool
from plugin_pool.waiter import ThreadWaiter

CROWDS = (100, 10_000, 100_000)
KINDS = 50
SERVED = 50
WOKEN = 100
SETTLING = 0.001
"""Seconds in which a thread surely comes to wait; those that did not are lost in the median."""


class Silent(ThreadWaiter):
    """Waits without a thread."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        """Nobody to wake."""
        return True


class Crowd:
    """Tasks of 50 kinds that wait for 100 entities, each of which would do for any."""

    def __init__(self, waiters: int) -> None:
        self.pool = ResourcePool(patience=1e9)
        for number in range(100):
            self.pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": {"x": 10, "y": 10}})
        levels = [{"x": 1 + one % 10, "y": 1 + one // 10} for one in range(KINDS)]
        self.needs = [self.pool.prepare({"type": "t", "capabilities": one}) for one in levels]
        self.numbers = itertools.count()
        self.held: deque[str] = deque()
        self.line: deque[str] = deque()
        for _ in range(100 + waiters):
            self.ask()

    def ask(self) -> None:
        """Let another task wait, or have what is free."""
        number = next(self.numbers)
        waiter = Silent(f"t{number}", self.needs[number % KINDS])
        (self.line if self.pool.join(waiter) else self.held).append(waiter.task_id)

    def cycle(self) -> None:
        """Release one entity to the first of those that wait, and let another wait."""
        self.pool.release_resources(self.held.popleft())
        self.held.append(self.line.popleft())
        self.ask()

    def served(self) -> float:
        """Measure a release that hands over, without those that join."""
        leaving = [self.held.popleft() for _ in range(SERVED)]
        release = self.pool.release_resources
        start = time.thread_time()
        for task in leaving:
            release(task)
        seconds = (time.thread_time() - start) / SERVED
        for _ in range(SERVED):
            self.held.append(self.line.popleft())
            self.ask()
        return seconds

    def choice(self) -> Measure:
        """Return only the choice, as the line makes it: the least key among the firsts of the queues that fit."""
        waiting = self.pool._index.groups[0].waiting
        head = attrgetter("head")
        assert len(waiting) == KINDS
        return each(lambda: min(waiting, key=head).first, 1000)

    def look(self) -> Measure:
        """Return the same choice by a look at everybody."""
        everybody = self.pool._line.waiters
        return each(lambda: min(everybody.values(), key=attrgetter("key")), max(1, 1000 // len(everybody)))


def choosing() -> dict[str, Measure]:
    """Return what it takes to serve one of many."""
    found: dict[str, Measure] = {}
    for waiters in CROWDS:
        crowd = Crowd(waiters)
        found[f"choosing among {waiters:,} waiters of {KINDS} kinds"] = crowd.choice()
        found[f"the same by a look at everybody, {waiters:,}"] = crowd.look()
        found[f"release, choice and handing over, {waiters:,}"] = crowd.served
        found[f"the same with another joining, {waiters:,}"] = each(crowd.cycle, SERVED)
    return found


def in_threads(take: Callable[[], Any], give: Callable[[Any], object]) -> Measure:
    """Return what measures how long a thread takes to go on once it can."""

    def measure() -> float:
        waits: list[float] = []
        turn, done = threading.Semaphore(0), threading.Semaphore(0)
        freed = 0.0

        def wait() -> None:
            for _ in range(WOKEN):
                turn.acquire()
                taken = take()
                waits.append(time.perf_counter() - freed)
                give(taken)
                done.release()

        thread = threading.Thread(target=wait)
        thread.start()
        for _ in range(WOKEN):
            taken = take()
            turn.release()
            time.sleep(SETTLING)
            freed = time.perf_counter()
            give(taken)
            done.acquire()
        thread.join()
        return statistics.median(waits)

    return measure


def on_a_loop(make: Callable[[], tuple[Callable[[], Awaitable[Any]], Callable[[Any], object]]]) -> Measure:
    """Return what measures how long a coroutine takes to go on once it can."""

    async def run() -> float:
        take, give = make()
        waits: list[float] = []
        freed = 0.0

        async def wait() -> None:
            taken = await take()
            waits.append(time.perf_counter() - freed)
            give(taken)

        for _ in range(WOKEN):
            taken = await take()
            task = asyncio.create_task(wait())
            for _ in range(3):
                await asyncio.sleep(0)
            freed = time.perf_counter()
            give(taken)
            await task
        return statistics.median(waits)

    return lambda: asyncio.run(run())


def one_entity() -> tuple[ResourcePool, Any, Callable[[], str]]:
    """Return a pool of one entity, a request for it, and what makes ids of tasks."""
    pool = ResourcePool()
    pool.add_resource({"id": "only", "type": "t"})
    numbers = itertools.count()
    return pool, pool.prepare({"type": "t"}), lambda: f"t{next(numbers)}"


def own_async() -> tuple[Callable[[], Awaitable[Any]], Callable[[Any], object]]:
    """Return taking from a pool on an event loop, and giving back."""
    pool, need, name = one_entity()
    return (lambda: pool.acquire_async(name(), need)), lambda lease: lease.release()


def queue_async() -> tuple[Callable[[], Awaitable[Any]], Callable[[Any], object]]:
    """Return taking from an `asyncio.Queue`, and giving back."""
    items: asyncio.Queue[int] = asyncio.Queue()
    items.put_nowait(1)
    return items.get, items.put_nowait


class Flag:
    """One thing that is there or not, guarded by a `threading.Condition`."""

    def __init__(self) -> None:
        self.there, self.condition = True, threading.Condition()

    def take(self) -> None:
        """Wait until it is there, and take it."""
        with self.condition:
            while not self.there:
                self.condition.wait()
            self.there = False

    def give(self, taken: None) -> None:
        """Put it back."""
        with self.condition:
            self.there = True
            self.condition.notify()


class Stub:
    """A connection to nothing, as far as a pool of connections looks at it."""

    def rollback(self) -> None:
        """Nothing was changed."""

    def close(self) -> None:
        """Nothing is open."""


def queue_pool(size: int, **options: Any) -> Any:
    """Return SQLAlchemy's pool of connections to nothing, or None where it is not installed."""
    try:
        module = importlib.import_module("sqlalchemy.pool")
    except ImportError:
        return None
    return module.QueuePool(Stub, pool_size=size, max_overflow=0, **options)


def waking() -> dict[str, Measure]:
    """Return what it takes until one that waits goes on."""
    pool, need, name = one_entity()
    items: queue.Queue[int] = queue.Queue()
    items.put(1)
    flag, connections = Flag(), queue_pool(1)
    found = {
        "waking a thread: pool": in_threads(lambda: pool.acquire(name(), need), lambda lease: lease.release()),
        "waking a thread: threading.Condition": in_threads(flag.take, flag.give),
        "waking a thread: queue.Queue": in_threads(items.get, items.put),
    }
    if connections is None:
        print("SQLAlchemy: not installed")
    else:
        found["waking a thread: QueuePool"] = in_threads(connections.connect, lambda one: one.close())
    found["waking a coroutine: pool"] = on_a_loop(own_async)
    found["waking a coroutine: asyncio.Queue"] = on_a_loop(queue_async)
    return found


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    found = best(waking() | choosing(), options.rounds)
    units = {"waking a thread": "waking a thread: pool", "waking a coroutine": "waking a coroutine: pool"}
    for name, seconds in found.items():
        unit = units.get(name.partition(":")[0], f"release, choice and handing over, {CROWDS[0]:,}")
        show({name: seconds}, found[unit])


if __name__ == "__main__":
    main()
