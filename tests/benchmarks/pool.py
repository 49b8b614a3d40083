"""What an allocation costs in the plugin `pool`, by the number of entities; threads, loading and memory besides.

    python tests/benchmarks/pool.py [--rounds 9] [--most 1000000]

Allocating one entity and releasing it, as the API is called, with a prepared request and with mappings, in pools of 10
to 1,000,000 entities that are half in use, against a plain scan of a list that checks and then allocates, and against
`queue.Queue` and `asyncio.Queue`, which know no types. The variants take turns within each round; figures are the
minimum over rounds of the mean processor time of the thread over a batch. Throughput of several threads is the best of
all rounds. Loading and memory are measured in processes of their own.
"""

import argparse
import asyncio
import gc
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from plugin_pool import ResourcePool

SIGNATURES = [{"type": "executor", "capabilities": {"web_search": 1 + one % 10, "file_ops": 1}} for one in range(20)]
Call = Callable[[], object]
Measure = Callable[[], float]
"""Returns the seconds of what it is about, measured once."""

LOADED = 1_000_000


def entity(number: int) -> dict[str, Any]:
    levels = {"web_search": 1 + number % 10, "file_ops": 1 + number // 10 % 10}
    return {"id": f"executor-{number}", "type": "executor", "capabilities": levels}


def each(call: Call, batch: int, clock: Callable[[], float] = time.thread_time) -> Measure:
    """Return what measures one call, by the mean over a batch."""

    def measure() -> float:
        start = clock()
        for _ in range(batch):
            call()
        return (clock() - start) / batch

    return measure


def best(variants: Mapping[str, Measure], rounds: int) -> dict[str, float]:
    """Return the least seconds of each variant; they take turns."""
    found = dict.fromkeys(variants, float("inf"))
    for _ in range(rounds):
        for name, measure in variants.items():
            found[name] = min(found[name], measure())
    return found


def show(found: Mapping[str, float], unit: float) -> None:
    """Print a line for each figure, with its ratio to one of them."""
    for name, seconds in found.items():
        print(f"{name:70} {seconds * 1e6:14,.2f} us {seconds / unit:12,.2f} x")


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


def untyped() -> dict[str, Measure]:
    """Return queues of the standard library, which only count."""
    threads: queue.Queue[int] = queue.Queue()
    loop: asyncio.Queue[int] = asyncio.Queue()
    for number in range(500):
        threads.put(number)
        loop.put_nowait(number)
    return {
        "queue.Queue": each(lambda: threads.put(threads.get()), 5000),
        "asyncio.Queue": each(lambda: loop.put_nowait(loop.get_nowait()), 5000),
    }


def together(pool: ResourcePool, count: int, calls: int = 20000) -> tuple[float, float]:
    """Return pairs per second of several threads together, and per second of processor time."""
    needs = [pool.prepare(one) for one in SIGNATURES]
    ready = threading.Barrier(count + 1)

    def work(which: int) -> None:
        ready.wait()
        for number in range(calls // count):
            pool.allocate_resources(f"task-{which}", needs[number % 20])
            pool.release_resources(f"task-{which}")

    running = [threading.Thread(target=work, args=(which,)) for which in range(count)]
    for one in running:
        one.start()
    used = time.process_time()
    ready.wait()
    start = time.perf_counter()
    for one in running:
        one.join()
    return calls / (time.perf_counter() - start), calls / (time.process_time() - used)


def show_threads(pool: ResourcePool, rounds: int) -> None:
    """Print the best throughput of 1, 4 and 16 threads, which take turns."""
    rates = dict.fromkeys((1, 4, 16), (0.0, 0.0))
    for _ in range(rounds):
        for count, (wall, used) in rates.items():
            again = together(pool, count)
            rates[count] = max(wall, again[0]), max(used, again[1])
    for count, (wall, used) in rates.items():
        shares = f"{wall / rates[1][0]:5.2f} x, {used:9,.0f} by processor time {used / rates[1][1]:5.2f} x"
        print(f"{count:2} threads {wall:46,.0f} pairs/s {shares}")


def load(what: str, size: int) -> None:
    """Print seconds of processor time that loading takes, or bytes that an entity takes, as JSON."""
    own, pool = psutil.Process(), ResourcePool()
    if what == "seconds":
        given = [entity(number) for number in range(size)]
        start = time.process_time()
        pool.add_resources(given)
        print(json.dumps(time.process_time() - start))
        return
    step = size if what == "bytes" else 10_000
    gc.collect()
    before = own.memory_info().rss
    for first in range(0, size, step):
        pool.add_resources(entity(number) for number in range(first, first + step))
    gc.collect()
    print(json.dumps((own.memory_info().rss - before) / size))


def loaded(what: str, rounds: int) -> float:
    """Return the least that processes of their own say of loading."""
    command = [sys.executable, __file__, "--load", what]
    done = [subprocess.run(command, check=True, stdout=subprocess.PIPE) for _ in range(rounds)]
    return min([float(json.loads(one.stdout)) for one in done])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--load", choices=("seconds", "bytes", "batches"), help="only load, and say what that takes")
    options = parser.parse_args()
    if options.load:
        load(options.load, LOADED)
        return
    sizes = [size for size in (10, 1_000, 100_000, 1_000_000) if size <= options.most]
    pools = {size: pool_of(size) for size in sizes}
    variants = untyped()
    for size, pool in pools.items():
        variants[f"pool of {size:,}, prepared"] = each(pair(pool, [pool.prepare(one) for one in SIGNATURES]), 5000)
        variants[f"pool of {size:,}, mappings"] = each(pair(pool, SIGNATURES), 500)
        if size <= 100_000:
            variants[f"scan of {size:,}"] = each(scan(size), max(1, 20_000 // size))
    found = best(variants, options.rounds)
    show(found, found["pool of 1,000, prepared"])
    show_threads(pools[1_000], options.rounds)
    print(f"loading {LOADED:,} entities {loaded('seconds', 3):42.2f} s of processor time")
    print(f"memory of each of them {loaded('bytes', 1):49.0f} bytes (resident)")
    print(f"the same, added 10,000 at a time {loaded('batches', 1):39.0f} bytes (resident)")


if __name__ == "__main__":
    main()
