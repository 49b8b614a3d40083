"""What it costs to hand tasks to our pools, against those of `concurrent.futures` (and loky, where it is installed).

    python tests/benchmarks/executors.py [--rounds 15] [--markdown]

One call and its result at a time, a batch of calls, and a map of small tasks. The variants take turns within each
round; figures are the minimum over rounds of the mean over a batch. The standard library's process pool is spawned, as
ours is.
"""

import argparse
import contextlib
import importlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from plugin_executors import ConcurrencyManager

BATCH = 500
MAPPED = 20_000
WORKERS = 2
CHUNKS = (50, 1000)


def nothing(number: int) -> int:
    """The smallest task."""
    return number


def one_by_one(submit: Callable[..., Any]) -> Callable[[], int]:
    """Wait for each result before the next call."""

    def run() -> int:
        for number in range(BATCH):
            submit(nothing, number).result()
        return BATCH

    return run


def batch(submit: Callable[..., Any]) -> Callable[[], int]:
    """Submit all, then wait for all."""

    def run() -> int:
        futures = [submit(nothing, number) for number in range(BATCH)]
        for future in futures:
            future.result()
        return BATCH

    return run


def mapped(run_map: Callable[..., Any], **options: Any) -> Callable[[], int]:
    """Map over many small tasks."""

    def run() -> int:
        count = sum(1 for _ in run_map(nothing, range(MAPPED), **options))
        assert count == MAPPED
        return MAPPED

    return run


def loky(stack: contextlib.ExitStack) -> Executor | None:
    """Return loky's pool, if it is installed."""
    try:
        module = importlib.import_module("loky")
    except ImportError:
        return None
    pool: Executor = stack.enter_context(module.ProcessPoolExecutor(WORKERS))
    return pool


@contextlib.contextmanager
def variants() -> Iterator[dict[str, dict[str, Callable[[], int]]]]:
    """Yield the variants of each measurement; the first one is the peer that the others are compared with."""
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(WORKERS))
        context = multiprocessing.get_context("spawn")
        processes = stack.enter_context(ProcessPoolExecutor(WORKERS, mp_context=context))
        sizes = {"default_io_workers": WORKERS, "default_cpu_workers": WORKERS}
        ours = ConcurrencyManager(setting=lambda name: sizes.get(name.rpartition(".")[2]))
        stack.callback(ours.close)
        found = {
            "thread, submit and result": {
                "ThreadPoolExecutor": one_by_one(threads.submit),
                "pool": one_by_one(ours.thread_pool.submit),
                "manager": one_by_one(ours.run_in_thread_pool),
            },
            "thread, batch": {
                "ThreadPoolExecutor": batch(threads.submit),
                "pool": batch(ours.thread_pool.submit),
                "manager": batch(ours.run_in_thread_pool),
            },
            "process, submit and result": {
                "ProcessPoolExecutor": one_by_one(processes.submit),
                "manager": one_by_one(ours.run_in_process_pool),
            },
            "process, batch": {
                "ProcessPoolExecutor": batch(processes.submit),
                "manager": batch(ours.run_in_process_pool),
            },
            "process, map": {
                **{f"ProcessPoolExecutor, chunksize={size}": mapped(processes.map, chunksize=size) for size in CHUNKS},
                "manager, chunks learnt": mapped(ours.map_tasks_in_process_pool),
                **{
                    f"manager, chunksize={size}": mapped(ours.map_tasks_in_process_pool, chunksize=size)
                    for size in CHUNKS
                },
            },
        }
        other = loky(stack)
        if other is not None:
            found["process, submit and result"]["loky"] = one_by_one(other.submit)
            found["process, batch"]["loky"] = batch(other.submit)
        yield found


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return seconds for one task by measurement and variant."""
    best: dict[str, dict[str, float]] = {}
    with variants() as found:
        for _ in range(rounds + 1):  # the first one starts the workers
            for what, each in found.items():
                for name, run in each.items():
                    start = time.perf_counter()
                    count = run()
                    seconds = (time.perf_counter() - start) / count
                    best.setdefault(what, {})[name] = min(seconds, best.get(what, {}).get(name, seconds))
    return best


def main() -> None:
    """Print minima and ratios to the first variant of each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    best = measure(arguments.rounds)
    row = "| {} | {} | {:.2f} | {:.2f} |" if arguments.markdown else "{:28} {:36} {:8.2f} us  {:5.2f} x"
    if arguments.markdown:
        print("| what | pool | µs for one task | ratio |\n|---|---|---|---|")
    for what, each in best.items():
        peer = next(iter(each.values()))
        for name, seconds in each.items():
            print(row.format(what, name, seconds * 1e6, seconds / peer))


if __name__ == "__main__":
    main()
