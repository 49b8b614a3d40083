"""How near the size of a batch is to the best one after five batches.

    python tests/benchmarks/batches.py [--rounds 5]

The best size is that whose real bytes are the budget, which is measured where as many items as fit are worked on
together. The first batch has a hundredth of that. Each figure is of a process of its own; each round runs all sorts of
work in turn, and the worst ratio over rounds is shown.
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

from framework import limits
from plugin_memory import MemoryManager

BUDGET = 64 << 20
BATCHES = 5
FROM = 100
"""How many times the first batch is too small."""

WORK: dict[str, tuple[Callable[[Iterable[int]], Any], bool]] = {
    "blocks of 10 KB": (lambda batch: [bytearray(b"x") * 10_000 for _ in batch], False),
    "blocks of 10 KB, all kept": (lambda batch: [bytearray(b"x") * 10_000 for _ in batch], True),
    "texts of 300 characters": (lambda batch: [str(one) + "y" * 300 for one in batch], False),
    "dictionaries": (lambda batch: [{"number": one, "text": str(one), "list": [one]} for one in batch], False),
    "20 KB while it works": (lambda batch: len([bytearray(b"x") * 20_000 for _ in batch]), False),
}


def taken(name: str, many: int) -> float:
    """Return the bytes that so many items take together, their list included."""
    limits.reset_peak()
    before = limits.resident_bytes()
    items = list(range(many))
    result = WORK[name][0](items)
    found = limits.peak_bytes() - before
    del result
    return found


def size(name: str, best: int) -> float:
    """Return the size after five batches."""
    work, kept = WORK[name]
    manager, results = MemoryManager(), []
    batches = manager.batches(itertools.count(), max(1, best // FROM), 1, 10**7, budget=BUDGET)
    for number, batch in enumerate(batches):
        if number == BATCHES:
            break
        with batch:
            results.append(work(batch))
        if not kept:
            results.clear()
    chosen = manager.explain()
    return chosen.size if chosen else 0


def alone(function: Callable[[str, int], float], name: str, number: int) -> float:
    """Return what a function returns in a process of its own."""
    command = [sys.executable, __file__, "--alone", function.__name__, name, str(number)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the worst ratio of each sort of work."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        function, name, number = options.alone
        print({"taken": taken, "size": size}[function](name, int(number)))
        return
    best = dict.fromkeys(WORK, 20_000)
    for name in WORK:
        for _ in range(3):
            best[name] = int(BUDGET / (alone(taken, name, best[name]) / best[name]))
    worst = dict.fromkeys(WORK, 1.0)
    for _ in range(options.rounds):
        for name in WORK:
            worst[name] = max(worst[name], alone(size, name, best[name]) / best[name], key=lambda one: abs(one - 1))
    for name, found in worst.items():
        print(f"{name:28} {found:6.3f} of the best size, {best[name]}")


if __name__ == "__main__":
    main()
