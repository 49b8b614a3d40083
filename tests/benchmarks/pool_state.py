"""What it costs to keep a pool of the plugin `pool` on disk, and how long it takes to have it again.

    python tests/benchmarks/pool_state.py [--rounds 15] [--entities 1000000] [--leases 100000] [--directory /tmp]

Allocating one entity of 1,000 and releasing it: in a pool that is not kept, in one that somebody watches who does
nothing, and in one that is kept with `buffered`; the three take turns, and figures are the minimum over rounds of the
mean processor time over a batch. The same in time that passes with 1 and 16 threads, and with `fsync`, against one
`fdatasync` of a file. Then a snapshot of many entities and leases, and opening it; the same with a journal of as many
allocations.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from plugin_pool import ResourcePool, Watcher

Call = Callable[[], object]
NEED = {"type": "executor", "capabilities": {"web_search": 5}}


def entity(number: int) -> dict[str, Any]:
    levels = {"web_search": 1 + number % 10, "file_ops": 1 + number // 10 % 10}
    return {"id": f"executor-{number}", "type": "executor", "capabilities": levels}


def filled(pool: Any, count: int = 1000) -> Any:
    pool.add_resources([entity(number) for number in range(count)])
    return pool


def pair(pool: ResourcePool, batch: int) -> float:
    """Return the processor time of allocating one entity and releasing it."""
    need = pool.prepare(NEED)
    start = time.process_time()
    for _ in range(batch):
        pool.allocate_resources("task", need)
        pool.release_resources("task")
    return (time.process_time() - start) / batch


def threads(pool: ResourcePool, count: int, calls: int) -> float:
    """Return pairs per second of several threads together."""
    need = pool.prepare(NEED)

    def work(which: int) -> None:
        for _ in range(calls // count):
            pool.allocate_resources(f"task-{which}", need)
            pool.release_resources(f"task-{which}")

    running = [threading.Thread(target=work, args=(which,)) for which in range(count)]
    start = time.perf_counter()
    for one in running:
        one.start()
    for one in running:
        one.join()
    return calls // count * count / (time.perf_counter() - start)


def sync(directory: str) -> float:
    """Return the seconds of writing a record to a file and having it on the disk."""
    descriptor = os.open(os.path.join(directory, "bare"), os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(descriptor, 0, 1 << 20)
    found = []
    for number in range(200):
        start = time.perf_counter()
        os.pwrite(descriptor, bytes(80), number * 80)
        os.fdatasync(descriptor)
        found.append(time.perf_counter() - start)
    os.close(descriptor)
    return sorted(found)[100]


def timed(what: str, call: Callable[[], Any]) -> Any:
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    print(f"{what:55} {time.process_time() - cpu:8.2f} s of CPU {time.perf_counter() - wall:8.2f} s")
    return result


def recovery(directory: str, entities: int, leases: int) -> None:
    """Print how long it takes to write down a large pool, and to have it again."""
    path = os.path.join(directory, "large")
    pool = filled(ResourcePool.open(path, durability="none"), entities)
    need = pool.prepare({"type": "executor"})
    for number in range(leases):
        pool.allocate_resources(f"task-{number}", need)
    timed(f"closing {entities:,} entities and {leases:,} leases", pool.close)
    snapshot = pool.persistence.snapshot_bytes
    print(f"{'its snapshot':55} {snapshot:12,} bytes {snapshot / entities:8.1f} each")
    del pool
    pool = timed("opening it", lambda: ResourcePool.open(path, grace=None))
    assert pool.get_status_report().deployed == leases
    need = pool.prepare({"type": "executor"})
    for number in range(leases):
        pool.allocate_resources(f"more-{number}", need)
        pool.release_resources(f"more-{number}")
    print(f"{'journal of as many more, allocated and released':55} {pool.persistence.journal_bytes:12,} bytes")
    pool.close()
    del pool
    timed("opening it with that", lambda: ResourcePool.open(path, grace=None)).close()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--leases", type=int, default=100_000)
    parser.add_argument("--directory", help="where to write; a temporary directory by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        watched = filled(ResourcePool())
        watched.watch(Watcher())
        kept = filled(ResourcePool.open(os.path.join(directory, "buffered")))
        pools = {"not kept": filled(ResourcePool()), "watched": watched, "kept, buffered": kept}
        found = dict.fromkeys(pools, float("inf"))
        for _ in range(options.rounds):
            for name, pool in pools.items():
                found[name] = min(found[name], pair(pool, 3000))
        for name, seconds in found.items():
            more = seconds - found["not kept"]
            print(f"allocate and release, {name:33} {seconds * 1e6:8.2f} us {more * 1e6:+8.2f} us")
        pools["kept, fsync"] = filled(ResourcePool.open(os.path.join(directory, "fsync"), durability="fsync"))
        del pools["watched"]
        for name, pool in pools.items():
            calls = 1000 if "fsync" in name else 50_000
            rates = {count: max(threads(pool, count, calls) for _ in range(3)) for count in (1, 16)}
            ratio = rates[16] / rates[1]
            print(f"{name}, 1 and 16 threads{'':20} {rates[1]:12,.0f} {rates[16]:12,.0f} pairs/s {ratio:6.2f} x")
        print(f"{'one fdatasync':55} {sync(directory) * 1e6:8.0f} us")
        for pool in pools.values():
            pool.close()
        recovery(directory, options.entities, options.leases)


if __name__ == "__main__":
    main()
