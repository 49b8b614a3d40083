"""What watching memory costs: a look of the plugin `pressure` against the bare reading, in seconds of processor time.

    python tests/benchmarks/pressure.py [--rounds 30]

All variants run in turn within every round; the figure is the minimum over rounds of the mean of a batch. The bare
reading is that of the files that say what is used, with descriptors kept open and nothing done with what they say.
"""

import argparse
import os
import time
from collections.abc import Callable

from framework import Framework, limits
from plugin_pressure.alarm import Alarm
from plugin_pressure.monitor import Monitor
from plugin_pressure.options import Options

BATCH = 500


def variants() -> dict[str, Callable[[], object]]:
    """Return what is measured; the bare reading first."""
    host = Framework.from_config({"plugins": {}})
    monitor, alarm = Monitor(host, Options()), Alarm()
    source = limits.memory().source
    names = ["/proc/meminfo"]
    if source != limits.MACHINE:
        names += [f"{source}/{name}" for name in ("memory.usage_in_bytes", "memory.current", "memory.stat")]
    files = [os.open(one, os.O_RDONLY) for one in names if os.path.exists(one)]

    def read() -> None:
        for file in files:
            os.pread(file, 1 << 16, 0)

    memory, bounds = monitor.reader.memory(), monitor.thresholds()
    return {
        "bare reading": read,
        "limits.Reader.memory": monitor.reader.memory,
        "decision": lambda: monitor.controller.observe(time.monotonic(), memory, bounds, 0.0),
        "look": lambda: monitor._tick(alarm),
    }


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    rounds, found = parser.parse_args().rounds, variants()
    best = dict.fromkeys(found, float("inf"))
    for _ in range(rounds):
        for name, call in found.items():
            start = time.thread_time()
            for _ in range(BATCH):
                call()
            best[name] = min(best[name], (time.thread_time() - start) / BATCH)
    for name, seconds in best.items():
        print(f"{name:24} {seconds * 1e6:8.2f} µs  {seconds / best['bare reading']:6.2f} x bare reading")


if __name__ == "__main__":
    main()
