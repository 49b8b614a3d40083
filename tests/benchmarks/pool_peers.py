"""The plugin `pool` beside what else gives out scarce things: in this process, and as engines that run tasks.

    python tests/benchmarks/pool_peers.py [--rounds 5] [--seconds 10] [--without dask,ray]

Peers that are not installed are left out, and named: `sqlalchemy`, `distributed` and `ray`, which the project does not
require. The variants take turns within each round; figures are minima over rounds of the mean over a batch. What runs
in this process is measured by the processor time of the thread, engines in other processes by wall time, as each line
says. An engine's figure includes running a task that does nothing: the ratio says only what it would cost to ask an
engine for each allocation.

Then three questions to the pool and to the engines, each with 8 units of `a`, and one each of `b` and `c`, and the same
tasks, which sleep. Does a task that needs all 8 units start while single ones keep coming (16 at a time, of 50 ms
each)? Does a task that needs `b`, which is free, wait behind ten that came before and need `c`, of 200 ms each? And
what is said of a task that needs what nobody has? Whoever gives no answer within `--seconds` gives none.
"""

import argparse
import importlib
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import count
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import anyio
from tests.benchmarks.pool import SIGNATURES, Call, Measure, best, each, pair, pool_of, scan, show, untyped
from tests.benchmarks.pool_waiters import queue_pool

from framework.errors import FrameworkError
from plugin_pool import ResourcePool

BATCH = 2000
UNITS = {"a": 8, "b": 1, "c": 1}
SLOTS = {"slot": 2}
FLOWING = 16
SINGLE = 0.05
QUEUED = 10
LONG = 0.2
APART = 0.3
"""Seconds between those that queue and the one behind them, so that no engine takes them for one batch."""
MAPPED = 200
UNIT = "pool of 1,000, prepared (CPU)"


def nap(seconds: float) -> float:
    """The task that engines run."""
    time.sleep(seconds)
    return seconds


class Engine(ABC):
    """Runs tasks that need units of something."""

    name: str

    @abstractmethod
    def submit(self, seconds: float, needs: Mapping[str, int]) -> Any:
        """Have a task run that sleeps."""

    @abstractmethod
    def ended(self, task: Any, timeout: float) -> bool:
        """Return whether a task ends, in any way, within so many seconds."""

    @abstractmethod
    def says(self, task: Any) -> str:
        """Return what a caller is told of a task."""

    @abstractmethod
    def several(self, number: int, needs: Mapping[str, int]) -> None:
        """Run several tasks that do nothing, in the engine's own way for many."""

    @abstractmethod
    def close(self) -> None:
        """End everything."""


class PoolEngine(Engine):
    """Threads that ask our pool before each task."""

    name = "pool"

    def __init__(self) -> None:
        self.pool = ResourcePool(patience=0.5)
        every = UNITS | SLOTS
        self.pool.add_resources({"id": f"{kind}-{one}", "type": kind} for kind in every for one in range(every[kind]))
        self.threads = ThreadPoolExecutor(FLOWING * 2)
        self.numbers = count()

    def submit(self, seconds: float, needs: Mapping[str, int]) -> Any:
        """Have a thread wait for what is needed, and sleep."""
        wanted = [{"type": kind, "count": units} for kind, units in needs.items()]
        return self.threads.submit(self._run, f"task-{next(self.numbers)}", seconds, wanted)

    def _run(self, task: str, seconds: float, wanted: list[dict[str, Any]]) -> float:
        with self.pool.acquire(task, wanted):
            return nap(seconds)

    def ended(self, task: "Future[float]", timeout: float) -> bool:
        """Wait for the thread."""
        return bool(wait([task], timeout).done)

    def says(self, task: "Future[float]") -> str:
        """Return what the error says."""
        error = task.exception(timeout=0) if task.done() else None
        if not isinstance(error, FrameworkError):
            return "nothing"
        return f"{type(error).__name__}, tier {getattr(error, 'tier', '')}: {error}"

    def several(self, number: int, needs: Mapping[str, int]) -> None:
        """Run them in threads."""
        for task in [self.submit(0, needs) for _ in range(number)]:
            task.result()

    def close(self) -> None:
        """End the threads."""
        self.threads.shutdown()
        self.pool.close()


class DaskEngine(Engine):
    """A scheduler and a worker process of Dask, with worker resources."""

    name = "Dask"

    def __init__(self) -> None:
        distributed = importlib.import_module("distributed")
        self.cluster = distributed.LocalCluster(
            n_workers=1, threads_per_worker=FLOWING * 2, dashboard_address=None, resources=UNITS | SLOTS
        )
        self.client = distributed.Client(self.cluster)
        self.wait = distributed.wait
        self.late = importlib.import_module("dask.distributed").TimeoutError

    def submit(self, seconds: float, needs: Mapping[str, int]) -> Any:
        """Submit it with `resources`."""
        return self.client.submit(time.sleep, seconds, resources=dict(needs), pure=False)

    def ended(self, task: Any, timeout: float) -> bool:
        """Wait for the future; without a time, only look."""
        if timeout:
            try:
                self.wait(task, timeout=timeout)
            except self.late:
                return False
        return bool(task.done())

    def says(self, task: Any) -> str:
        """Return the status of the future."""
        return f"status {task.status!r}"

    def several(self, number: int, needs: Mapping[str, int]) -> None:
        """Map."""
        self.client.gather(self.client.map(time.sleep, [0] * number, resources=dict(needs), pure=False))

    def close(self) -> None:
        """End the processes."""
        self.client.close()
        self.cluster.close()


class RayEngine(Engine):
    """A node of Ray with custom resources."""

    name = "Ray"

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.ray = importlib.import_module("ray")
        self.ray.init(num_cpus=2, resources=UNITS | SLOTS, include_dashboard=False, object_store_memory=100_000_000)
        self.tasks: dict[tuple[tuple[str, int], ...], Any] = {}

    def _task(self, needs: Mapping[str, int]) -> Any:
        key = tuple(needs.items())
        if key not in self.tasks:
            self.tasks[key] = self.ray.remote(num_cpus=0, resources=dict(needs))(nap)
        return self.tasks[key]

    def submit(self, seconds: float, needs: Mapping[str, int]) -> Any:
        """Submit it with `resources`."""
        return self._task(needs).remote(seconds)

    def ended(self, task: Any, timeout: float) -> bool:
        """Wait for the reference."""
        return bool(self.ray.wait([task], timeout=timeout)[0])

    def says(self, task: Any) -> str:
        """Return whether the task is ready, which is all that its reference tells."""
        return "ready" if self.ended(task, 0) else "not ready"

    def several(self, number: int, needs: Mapping[str, int]) -> None:
        """Submit all, then get all."""
        task = self._task(needs)
        self.ray.get([task.remote(0) for _ in range(number)])

    def close(self) -> None:
        """End the processes."""
        self.ray.shutdown()


def engines(without: list[str]) -> list[Engine]:
    """Start the engines that are installed, and name the others."""
    found: list[Engine] = [PoolEngine()]
    for name, made in {"dask": DaskEngine, "ray": RayEngine}.items():
        if name in without:
            continue
        try:
            found.append(made())
        except ImportError:
            print(f"{made.name}: not installed")
    return found


def limiter(*, awaited: bool) -> Measure:
    """Return what measures anyio's CapacityLimiter, which works on an event loop only."""

    async def run() -> float:
        tokens, borrower = anyio.CapacityLimiter(500), object()
        start = time.thread_time()
        for _ in range(BATCH):
            if awaited:
                await tokens.acquire_on_behalf_of(borrower)
            else:
                tokens.acquire_on_behalf_of_nowait(borrower)
            tokens.release_on_behalf_of(borrower)
        return (time.thread_time() - start) / BATCH

    return lambda: anyio.run(run)


def counted() -> Call:
    """Return a call that acquires a semaphore and releases it."""
    semaphore = threading.Semaphore(500)

    def call() -> None:
        semaphore.acquire()
        semaphore.release()

    return call


def checkouts() -> dict[str, Measure]:
    """Return checking out a connection and returning it, where SQLAlchemy is installed."""
    found: dict[str, Measure] = {}
    for name, options in {"default": {}, "without reset": {"reset_on_return": None}}.items():
        connections = queue_pool(500, **options)
        if connections is None:
            print("SQLAlchemy: not installed")
            break
        found[f"QueuePool of SQLAlchemy, {name}, untyped (CPU)"] = each(partial(checkout, connections), BATCH)
    return found


def checkout(connections: Any) -> None:
    """Take a connection, and give it back."""
    connections.connect().close()


def here() -> dict[str, Measure]:
    """Return what runs in this process."""
    pool = pool_of(1_000)
    return {
        UNIT: each(pair(pool, [pool.prepare(one) for one in SIGNATURES]), BATCH),
        "pool of 1,000, mappings (CPU)": each(pair(pool, SIGNATURES), BATCH),
        "naive scan of 1,000 (CPU)": each(scan(1_000), 20),
        "threading.Semaphore, untyped (CPU)": each(counted(), BATCH),
        "anyio.CapacityLimiter without waiting, untyped (CPU)": limiter(awaited=False),
        "anyio.CapacityLimiter awaited, untyped (CPU)": limiter(awaited=True),
        **{f"{name}, untyped (CPU)": measure for name, measure in untyped().items()},
        **checkouts(),
    }


def there(engine: Engine) -> dict[str, Measure]:
    """Return what an engine takes for tasks that do nothing."""

    def one() -> None:
        engine.ended(engine.submit(0, {"slot": 1}), 60)

    def many() -> float:
        start = time.perf_counter()
        engine.several(MAPPED, {"slot": 1})
        return (time.perf_counter() - start) / MAPPED

    return {
        f"{engine.name}: a task with a resource, one after the other (wall)": each(one, 20, time.perf_counter),
        f"{engine.name}: {MAPPED} tasks with a resource at once, each (wall)": many,
    }


class Flow:
    """Single tasks of which the next one comes as soon as one has ended."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.ended = engine, 0
        for single in [self._submit() for _ in range(4 * FLOWING)]:
            engine.ended(single, 60)  # so that all processes have started
        self.tasks = [self._submit() for _ in range(FLOWING)]

    def _submit(self) -> Any:
        return self.engine.submit(SINGLE, {"a": 1})

    def go_on(self, seconds: float, until: Any = None) -> float:
        """Keep them coming for so many seconds, or until a task ended; return how many seconds it was."""
        start = time.monotonic()
        while time.monotonic() < start + seconds and not (until and self.engine.ended(until, 0)):
            for place, single in enumerate(self.tasks):
                if self.engine.ended(single, 0):
                    self.tasks[place] = self._submit()
                    self.ended += 1
            time.sleep(0.002)
        return time.monotonic() - start


def gang(engine: Engine, seconds: float) -> str:
    """Keep single tasks coming, and see whether one that needs all units starts."""
    flow = Flow(engine)
    flow.go_on(1)
    task, flow.ended = engine.submit(0, {"a": UNITS["a"]}), 0
    took = flow.go_on(seconds, task)
    started, singles = engine.ended(task, 0), f"while {flow.ended} single tasks ended"
    late = time.monotonic()
    for one in (task, *flow.tasks):
        engine.ended(one, 60)
    if started:
        return f"started after {took:.2f} s, {singles}"
    return f"did not start in {took:.0f} s, {singles}; all had ended {time.monotonic() - late:.1f} s after no more came"


def head_of_line(engine: Engine, seconds: float) -> str:
    """Ask for what is free behind tasks that wait for something else."""
    for kind in "bc":
        engine.ended(engine.submit(0, {kind: 1}), 60)  # so that no process has to start
    queued = [engine.submit(LONG, {"c": 1}) for _ in range(QUEUED)]
    time.sleep(APART)
    start = time.monotonic()
    done = engine.ended(engine.submit(0, {"b": 1}), seconds)
    took = time.monotonic() - start
    for task in queued:
        engine.ended(task, 60)
    return f"ended after {took:.3f} s" if done else f"did not end in {seconds:.0f} s"


def hopeless(engine: Engine, seconds: float) -> str:
    """Ask for what nobody has."""
    start = time.perf_counter()
    task = engine.submit(0, {"nothing": 1})
    ended = engine.ended(task, seconds)
    took = time.perf_counter() - start
    told = engine.says(task)
    return f"told after {took * 1e3:.2f} ms: {told}" if ended else f"not told in {took:.0f} s; {told}"


def main() -> None:
    """Measure, print a table, and ask the questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--without", default="", help="engines not to start, with commas between them")
    options = parser.parse_args()
    running = engines(options.without.split(","))
    try:
        variants = here()
        for engine in running:
            engine.several(MAPPED, {"slot": 1})  # so that all processes have started
            variants |= there(engine)
        found = best(variants, options.rounds)
        show(found, found[UNIT])
        for title, ask in {"gang": gang, "behind others": head_of_line, "infeasible": hopeless}.items():
            for engine in running:
                print(f"{title}, {engine.name}: {ask(engine, options.seconds)}", flush=True)
    finally:
        for engine in running:
            engine.close()


if __name__ == "__main__":
    main()
