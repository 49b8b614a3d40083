"""The simulation that shows why gangs need earmarks: two types, ten entities each, single tasks and gangs of eight.

A service takes an exponential time, one second on average. A gang of type `a` comes every 60 s; single tasks of both
types come so often that the load is 0.92.
"""

from __future__ import annotations

from plugin_pool import ResourceInstance, ResourceRequirement
from plugin_pool.simulation import Law, Outcome, Source, Stream, Workload, simulate
from plugin_pool.simulation.outcome import quantile

SECONDS = 5000
LOAD = 0.92
EVERY = 60.0
GANG = 8
SIZE = 10


def source(name: str, kind: str, gap: Law, count: int = 1) -> Source:
    return Source(gap, (Stream(name, (ResourceRequirement(kind, count=count),), Law.exponential(1.0)),))


WORKLOAD = Workload(
    tuple([ResourceInstance(f"{kind}{number}", kind) for kind in "ab" for number in range(SIZE)]),
    (
        source("a", "a", Law.exponential(1 / (SIZE * LOAD - GANG / EVERY))),
        source("b", "b", Law.exponential(1 / (SIZE * LOAD))),
        source("gang", "a", Law.fixed(EVERY), GANG),
    ),
)


def simulated(patience: float) -> Outcome:
    return simulate(WORKLOAD, patience=patience, seconds=SECONDS)


def part(values: list[float], part: float) -> float:
    found = quantile(sorted(values), part)
    assert found is not None
    return found


def singles(outcome: Outcome) -> list[float]:
    return [*outcome.of("a").waits, *outcome.of("b").waits]


def test_patience_bounds_the_wait_of_gangs_and_costs_nothing_in_use() -> None:
    free, bounded = simulated(patience=float("1e9")), simulated(patience=2.0)

    assert part(free.of("gang").waits, 0.5) > 20, "without earmarks gangs starve"
    assert part(bounded.of("gang").waits, 0.5) < 6
    assert part(bounded.of("gang").waits, 0.99) < 12
    assert bounded.of("gang").waiting == []
    assert bounded.total.used > 0.98 * free.total.used
    assert part(singles(bounded), 0.99) < part(singles(free), 0.99) + 5
