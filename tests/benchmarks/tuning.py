"""How many workers get most done, for three kinds of work, and whether a pool finds that number by itself.

    python tests/benchmarks/tuning.py [--seconds 1] [--rounds 3] [--quota 50] [--output FILE]

Sleeping for 5 ms, hashing 200 kB and 3,000 steps of pure Python in threads, the latter two in processes, which are not
for what waits; with `--quota`, all of it in a control group that may use so many percent of one CPU (needs version 1 or
2 of control groups, and to be root). Fixed sizes take turns with the adaptive pool, which has worked for ten seconds
before; figures are the best round. At the end come the costs of handing over a task. `--output` writes the tables of
the tuning guide to a file, too.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from framework.limits import cpus, directories
from plugin_executors import ConcurrencyManager

SIZES = {"thread": (1, 2, 4, 8, 16, 32, 64), "process": (1, 2, 4)}
WARM_UP_S = 10.0
AHEAD = 256
"""Tasks that wait or run at any time, so that no worker is ever idle."""

DATA = b"x" * 200_000


def sleep() -> None:
    """Wait, as for a disk or a server."""
    time.sleep(0.005)


def digest() -> None:
    """Compute without the interpreter's lock."""
    hashlib.sha256(DATA).digest()


def pure() -> None:
    """Compute with the interpreter's lock."""
    sum(number * number for number in range(3000))


COMPUTING = {"sha256 of 200 kB": digest, "pure Python": pure}
WORK = {"thread": {"sleep 5 ms": sleep, **COMPUTING}, "process": COMPUTING}


class Subject:
    """A pool of a manager, fixed or adaptive."""

    def __init__(self, kind: str, workers: int | str) -> None:
        self.manager = ConcurrencyManager(setting=lambda name: None if name.endswith("_total_workers") else workers)
        self.pool = self.manager.thread_pool if kind == "thread" else self.manager.process_pool

    def rate(self, task: Callable[[], None], seconds: float) -> float:
        """Keep the pool busy for some time; return tasks per second."""
        room = threading.Semaphore(AHEAD)
        start, before = time.perf_counter(), self.pool.completed
        while time.perf_counter() < start + seconds:
            room.acquire()
            self.pool.submit(task).add_done_callback(lambda _: room.release())
        found = (self.pool.completed - before) / (time.perf_counter() - start)
        for _ in range(AHEAD):
            room.acquire()  # what is left must not burden the next one
        return found


def measure(kind: str, task: Callable[[], None], seconds: float, rounds: int) -> tuple[dict[str, float], int]:
    """Return the best rate of each size, and what size the adaptive pool has come to."""
    subjects = {str(size): Subject(kind, size) for size in SIZES[kind]}
    subjects["auto"] = Subject(kind, "auto")
    try:
        subjects["auto"].rate(task, WARM_UP_S)
        best = dict.fromkeys(subjects, 0.0)
        for _ in range(rounds):
            for name, subject in subjects.items():
                best[name] = max(best[name], subject.rate(task, seconds))
        return best, subjects["auto"].pool.workers
    finally:
        for subject in subjects.values():
            subject.manager.close()


def tables(seconds: float, rounds: int) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield f"Tasks completed in a second, by number of workers; {cpus()} CPUs may be used.\n"
    for kind, sizes in SIZES.items():
        heads = [f"{size}" for size in sizes]
        yield f"| work, in a {kind} pool | {' | '.join(heads)} | best | `auto` | its size | `auto` ÷ best |"
        yield "|---|" + "---|" * (len(sizes) + 4)
        for name, task in WORK[kind].items():
            rates, size = measure(kind, task, seconds, rounds)
            best = max(sizes, key=lambda one: rates[str(one)])
            auto = rates["auto"]
            cells = [f"{rates[str(one)]:,.0f}" for one in sizes]
            cells += [f"{best}", f"{auto:,.0f}", f"{size}", f"{auto / rates[str(best)]:.2f}"]
            yield f"| {name} | {' | '.join(cells)} |"
        yield ""


@contextlib.contextmanager
def quota(percent: int) -> Iterator[None]:
    """Move this process into a control group with a quota, and back.

    Raises:
        OSError: That is not allowed here.
    """
    home, unified = next(iter(directories("cpu")))
    place = os.path.join(home, f"framework-tuning-{os.getpid()}")
    os.mkdir(place)
    try:
        limits = {"cpu.max": f"{percent * 1000} 100000"} if unified else {"cpu.cfs_quota_us": f"{percent * 1000}"}
        for name, text in {**limits, "cgroup.procs": str(os.getpid())}.items():
            with open(os.path.join(place, name), "w", encoding="ascii") as file:
                file.write(text)
        yield
    finally:
        with open(os.path.join(home, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
        os.rmdir(place)


def main() -> None:
    """Print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quota", type=int, default=None, metavar="PERCENT")
    parser.add_argument("--output", default=None, metavar="FILE")
    arguments = parser.parse_args()
    lines: list[str] = []
    limited = contextlib.nullcontext() if arguments.quota is None else quota(arguments.quota)
    with limited:
        for line in tables(arguments.seconds, arguments.rounds):
            print(line, flush=True)
            lines.append(line)
    if arguments.quota is None:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "executors.py")
        costs = subprocess.run(
            [sys.executable, script, "--markdown"], capture_output=True, text=True, check=True
        ).stdout
        print(costs)
        lines.append(costs)
    if arguments.output:
        os.makedirs(os.path.dirname(os.path.abspath(arguments.output)), exist_ok=True)
        with open(arguments.output, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))


if __name__ == "__main__":
    main()
