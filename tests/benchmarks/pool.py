"""What an allocation costs in the plugin `pool`, by the number of entities; gangs, explanations and waiters besides.

    python tests/benchmarks/pool.py [--rounds 9] [--most 1000000]

Allocating one entity and releasing it, as the API is called, with a prepared request and with mappings, in pools of 10
to 1,000,000 entities that are half in use, against a plain scan of a list that checks and then allocates, and against
`queue.Queue` and `asyncio.Queue`, which know no types. Gangs against single allocations. Choosing among many waiters.
The variants take turns within each round; figures are the minimum over rounds of the mean processor time over a batch.
"""

import argparse
import asyncio
import queue
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import Any

from plugin_pool import ResourcePool
from plugin_pool.waiter import ThreadWaiter

SIGNATURES = [{"type": "executor", "capabilities": {"web_search": 1 + one % 10, "file_ops": 1}} for one in range(20)]
Call = Callable[[], object]


def entity(number: int) -> dict[str, Any]:
    levels = {"web_search": 1 + number % 10, "file_ops": 1 + number // 10 % 10}
    return {"id": f"executor-{number}", "type": "executor", "capabilities": levels}


def best(variants: dict[str, tuple[Call, int]], rounds: int) -> dict[str, float]:
    """Return the seconds of one call by variant; each comes with the number of calls in a batch."""
    found = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, (call, batch) in variants.items():
            start = time.process_time()
            for _ in range(batch):
                call()
            found[name] = min(found[name], (time.process_time() - start) / batch)
    return found


def pool_of(size: int) -> ResourcePool:
    """Return a pool of which every second entity is in use."""
    pool = ResourcePool()
    pool.add_resources(entity(number) for number in range(size))
    half = pool.prepare({"type": "executor", "count": max(size // 2, 1)})
    assert pool.allocate_resources("half", half)
    return pool


def pair(pool: ResourcePool, needs: list[Any]) -> Call:
    """Return a call that allocates for the next of some needs, and releases."""
    state = 0

    def call() -> None:
        nonlocal state
        state = (state + 1) % len(needs)
        pool.allocate_resources("task", needs[state])
        pool.release_resources("task")

    return call


def scan(size: int) -> Call:
    """Return a call that looks through all entities to check, and again to allocate, and releases."""
    entities = [{**entity(number), "free": number % 2 == 1} for number in range(size)]
    state = 0

    def fits(one: dict[str, Any], need: dict[str, Any]) -> bool:
        levels = one["capabilities"]
        return (
            one["free"]
            and one["type"] == need["type"]
            and all(levels.get(name, 0) >= level for name, level in need["capabilities"].items())
        )

    def call() -> None:
        nonlocal state
        state = (state + 1) % len(SIGNATURES)
        if [one for one in entities if fits(one, SIGNATURES[state])]:
            chosen = next(one for one in entities if fits(one, SIGNATURES[state]))
            chosen["free"] = False
            chosen["free"] = True

    return call


def untyped() -> dict[str, tuple[Call, int]]:
    """Return queues of the standard library, which only count."""
    threads: queue.Queue[int] = queue.Queue()
    loop: asyncio.Queue[int] = asyncio.Queue()
    for number in range(500):
        threads.put(number)
        loop.put_nowait(number)
    return {
        "queue.Queue": (lambda: threads.put(threads.get()), 5000),
        "asyncio.Queue": (lambda: loop.put_nowait(loop.get_nowait()), 5000),
    }


def gangs(pool: ResourcePool) -> dict[str, tuple[Call, int]]:
    """Return gangs of several sizes, one that cannot be met, and its explanation."""
    found: dict[str, tuple[Call, int]] = {}
    for size in (1, 3, 10):
        needs = [{"type": "executor", "capabilities": {"web_search": 1 + one}} for one in range(size)]
        found[f"gang of {size}"] = (pair(pool, [pool.prepare(needs)]), 2000)
    needs = [{"type": "executor", "capabilities": {"web_search": 11 - one}} for one in range(1, 10)]
    needs.append({"type": "executor", "capabilities": {"web_search": 10, "nothing": 1}})
    hopeless = pool.prepare(needs)
    found["check of 10, one of which cannot be met"] = (lambda: pool.check_resource_requirements(hopeless), 500)
    found["explanation of that"] = (lambda: pool.explain(hopeless), 100)
    return found


class Silent(ThreadWaiter):
    """Waits without a thread."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def wake(self) -> bool:
        """Nobody to wake."""
        return True


def hand_over(waiters: int) -> Call:
    """Return a call that releases one entity to the first of many waiters of 50 kinds, and lets another wait."""
    pool = ResourcePool(clock=time.monotonic, patience=1e9)
    for number in range(100):
        pool.add_resource({"id": f"e{number}", "type": "t", "capabilities": {"x": 10, "y": 10}})
    needs = [pool.prepare({"type": "t", "capabilities": {"x": 1 + one % 10, "y": 1 + one // 10}}) for one in range(50)]
    count = 0
    held: deque[Silent] = deque()
    line: deque[Silent] = deque()

    def ask() -> None:
        nonlocal count
        waiter = Silent(f"t{count}", needs[count % 50])
        count += 1
        (line if pool.join(waiter) else held).append(waiter)

    for _ in range(100 + waiters):
        ask()

    def call() -> None:
        pool.release_resources(held.popleft().task_id)
        held.append(line.popleft())
        ask()

    return call


def threads(pool: ResourcePool, count: int, calls: int = 20000) -> float:
    """Return pairs per second of several threads together."""
    needs = [pool.prepare(one) for one in SIGNATURES]

    def work(which: int) -> None:
        for number in range(calls // count):
            pool.allocate_resources(f"task-{which}", needs[number % 20])
            pool.release_resources(f"task-{which}")

    running = [threading.Thread(target=work, args=(which,)) for which in range(count)]
    start = time.perf_counter()
    for one in running:
        one.start()
    for one in running:
        one.join()
    return calls / (time.perf_counter() - start)


def load(size: int) -> tuple[float, float]:
    """Return the seconds and bytes that one entity takes of many added together."""
    given = [entity(number) for number in range(size)]
    start = time.process_time()
    for_time = ResourcePool()
    for_time.add_resources(given)
    seconds = (time.process_time() - start) / size
    del for_time, given
    tracemalloc.start()
    pool = ResourcePool()
    pool.add_resources(entity(number) for number in range(size // 10))
    held = tracemalloc.get_traced_memory()[0] / (size // 10)
    tracemalloc.stop()
    return seconds, held


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--most", type=int, default=1_000_000)
    options = parser.parse_args()
    sizes = [size for size in (10, 1_000, 100_000, 1_000_000) if size <= options.most]
    pools = {size: pool_of(size) for size in sizes}
    variants = untyped()
    for size, pool in pools.items():
        variants[f"pool of {size:,}, prepared"] = (pair(pool, [pool.prepare(one) for one in SIGNATURES]), 5000)
        variants[f"pool of {size:,}, mappings"] = (pair(pool, SIGNATURES), 500)
        if size <= 100_000:
            variants[f"scan of {size:,}"] = (scan(size), max(1, 20_000 // size))
    variants |= gangs(pools[1_000])
    for waiters in (100, 10_000, 100_000):
        variants[f"hand-over among {waiters:,} waiters"] = (hand_over(waiters), 50)
    found = best(variants, options.rounds)
    unit = found["pool of 1,000, prepared"]
    for name, seconds in found.items():
        print(f"{name:45} {seconds * 1e6:12.2f} us {seconds / unit:12.2f} x")
    rates = {count: max(threads(pools[1_000], count) for _ in range(3)) for count in (1, 4, 16)}
    for count, rate in rates.items():
        print(f"{count:2} threads {rate:45,.0f} pairs/s {rate / rates[1]:9.2f} x")
    seconds, held = load(100_000)
    print(f"adding an entity {seconds * 1e6:41.2f} us {held:10.0f} bytes")


if __name__ == "__main__":
    main()
