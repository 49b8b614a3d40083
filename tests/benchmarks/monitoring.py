"""What monitoring costs: a tick of all readings, beside psutil and raw reads; and counting.

    python tests/benchmarks/monitoring.py [--rounds 40] [--ticks 200]

In every round each variant runs once, in turn; figures are minima over the rounds, in µs of processor time for a tick.
`psutil` reads what it can of the same figures, which is less: it knows no control groups, no pressure and no garbage
collection. `raw` is the bare `pread` of the same files and nothing else: no tick can cost less.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable

import psutil

from framework import MetricsManager
from framework.limits import directories
from plugin_system.custom import AlertsCollector, CustomCollector, TasksCollector
from plugin_system.disk import DiskCollector
from plugin_system.network import NetworkCollector
from plugin_system.process import ProcessCollector
from plugin_system.runtime import RuntimeCollector
from plugin_system.service import Metrics
from plugin_system.system import RESOURCES, SystemCollector

OWN = psutil.Process()


def by_psutil() -> None:
    """Read what psutil knows of the same figures."""
    psutil.virtual_memory()
    psutil.cpu_times()
    psutil.cpu_count()
    psutil.getloadavg()
    with OWN.oneshot():
        OWN.memory_info()
        OWN.cpu_times()
        OWN.num_threads()
        OWN.create_time()
        OWN.num_fds()
        OWN.io_counters()
    psutil.net_io_counters()
    psutil.disk_usage("/")


def raw() -> Callable[[], None]:
    """Return what reads the same files and does nothing with them."""
    memory = [path for path, unified in directories("memory") if not unified][:1]
    paths = ["/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/self/stat", "/proc/self/io", "/proc/self/net/dev"]
    paths += [f"/proc/pressure/{name}" for name in RESOURCES]
    paths += [f"{path}/memory.limit_in_bytes" for path in memory]
    files = [os.open(path, os.O_RDONLY) for path in paths if os.path.exists(path)]

    def read() -> None:
        for file in files:
            os.pread(file, 65536, 0)
        os.stat("/proc/self/fd")
        os.statvfs("/")

    return read


def variants(service: Metrics) -> dict[str, Callable[[], object]]:
    """Return everything that is measured, by name."""
    system = SystemCollector()
    system.collect()
    monitor = [system, ProcessCollector(system.capacity)]
    rest = [RuntimeCollector(), NetworkCollector(), DiskCollector()]
    own = [TasksCollector(service.manager), CustomCollector(service), AlertsCollector(service)]
    single = {f"  {one.name}": one.collect for one in (*monitor, *rest, *own)}

    def tick(collectors: list[object]) -> Callable[[], None]:
        asked = [one.collect for one in collectors]  # type: ignore[attr-defined]

        def ask() -> None:
            for one in asked:
                one()

        return ask

    return {
        "system and process": tick([*monitor]),
        "every collector": tick([*monitor, *rest, *own]),
        **single,
        "psutil": by_psutil,
        "raw": raw(),
    }


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--ticks", type=int, default=200)
    options = parser.parse_args()
    service = Metrics(MetricsManager())
    gc.disable()
    measured = variants(service)
    best = compare(measured, options.rounds, options.ticks)
    print(f"{'a tick':24}{'µs CPU':>10}{'of psutil':>12}{'of raw':>10}")
    for name, cost in best.items():
        print(f"{name:24}{cost:10.1f}{cost / best['psutil']:12.2f}{cost / best['raw']:10.2f}")
    counting(service, options.rounds)


def counting(service: Metrics, rounds: int) -> None:
    """Print what one step of counting costs."""
    bound = service.counter("requests", 0)
    labelled = service.counter("requests", 0, route="/")
    histogram = service.histogram("latency")
    gauge = service.gauge("depth")
    plain = {"requests": 0}

    def increment() -> None:
        plain["requests"] += 1

    steps: dict[str, Callable[[], object]] = {
        "dict[name] += 1": increment,
        "counter.add()": bound.add,
        "labelled counter.add()": labelled.add,
        "metrics.counter(name)": lambda: service.counter("requests"),
        "metrics.counter(name, …)": lambda: service.counter("requests", route="/"),
        "gauge.set(value)": lambda: gauge.set(1.0),
        "histogram.record(value)": lambda: histogram.record(1.0),
    }
    best = compare(steps, rounds, 5000)
    print(f"\n{'counting':24}{'µs CPU':>10}{'of a dict':>12}")
    for name, cost in best.items():
        print(f"{name:24}{cost:10.3f}{cost / best['dict[name] += 1']:12.1f}")


def compare(measured: dict[str, Callable[[], object]], rounds: int, times: int) -> dict[str, float]:
    """Return the least µs of processor time of one call of each, measured in turn."""
    best = dict.fromkeys(measured, float("inf"))
    for _ in range(rounds):
        for name, function in measured.items():
            begin = time.thread_time_ns()
            for _ in range(times):
                function()
            best[name] = min(best[name], (time.thread_time_ns() - begin) / times / 1000)
    return best


if __name__ == "__main__":
    main()
