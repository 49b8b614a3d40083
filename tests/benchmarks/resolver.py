"""Working out the plan of many plugins, against a bare topological sort of the same requirements.

    python tests/benchmarks/resolver.py [--rounds 15] [--plugins 1000]

Each round resolves every graph once, in turn; the figure is the minimum of all rounds, the ratio that of minima. What
is cached between calls is thrown away before each. The graphs are the same in every run.
"""

import argparse
import graphlib
import random
import time

from framework.resolver import Candidate, market, resolve


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--plugins", type=int, default=1000)
    arguments = parser.parse_args()
    count = arguments.plugins
    plain = layered(count, "")
    graph = {one.name: set(one.requires) for one in plain}
    graphs = {
        "names": plain,
        "version ranges": layered(count, ">=1,<3"),
        "capabilities, wishes, conflicts": rich(count),
        "one chain": [Candidate(f"p{n}", "1", requires=[f"p{n - 1}"] if n else []) for n in range(count)],
        "one chain, broken at the root": [Candidate(f"p{n}", "1", requires=[f"p{n - 1}"]) for n in range(count)],
        "one cycle": [Candidate(f"p{n}", "1", requires=[f"p{(n + 1) % count}"]) for n in range(count)],
    }
    best = {"bare topological sort": float("inf")} | dict.fromkeys(graphs, float("inf"))
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        tuple(graphlib.TopologicalSorter(graph).static_order())
        best["bare topological sort"] = min(best["bare topological sort"], time.perf_counter() - start)
        for name, candidates in graphs.items():
            market._fits.cache_clear()
            market._specifiers.cache_clear()
            start = time.perf_counter()
            resolve(candidates)
            best[name] = min(best[name], time.perf_counter() - start)
    base = best["bare topological sort"]
    print(f"{count} plugins")
    for name, seconds in best.items():
        print(f"{name:34} {seconds * 1000:8.1f} ms  {seconds / base:6.2f} x sort")


def layered(count: int, versions: str) -> list[Candidate]:
    """Return plugins that each require up to three of those before them."""
    chance = random.Random(1)
    return [
        Candidate(f"p{n}", f"1.{n}", requires=[f"p{chance.randrange(n)}{versions}" for _ in range(3)] if n else [])
        for n in range(count)
    ]


def rich(count: int) -> list[Candidate]:
    """Return plugins with a bit of everything: every tenth capability has three providers, one in fifty is broken."""
    chance = random.Random(2)

    def some(n: int, most: int, kind: str) -> list[str]:
        return [f"{kind}{chance.randrange(max(1, n))}" for _ in range(chance.randrange(most + 1))]

    return [
        Candidate(
            f"p{n}",
            f"1.{n % 7}",
            [f"c{n}", f"c{n // 10}"],
            [*(f"{one}>=1" for one in some(n, 2, "c")), *some(n, 1, "p"), *(["absent"] if n % 50 == 49 else [])],
            some(count, 2, "p"),
            [f"{one}>=1.2" for one in some(count, 1, "c")],
            some(count, 1, "p"),
            [f"p{(n + 1) % count}<1.3"] if n % 100 == 0 else [],
        )
        for n in range(count)
    ]


if __name__ == "__main__":
    main()
