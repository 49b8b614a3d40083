"""Plays a workload against a real pool in simulated time.

A discrete-event simulation: time stands still while something happens, and then jumps to whatever is next, a task that
comes or one that ends. The pool is the very one that applications use, with its own line, patience and strategies; only
its clock is ours, and those who wait are no threads. So what it shows is what the pool does, not a model of it.
"""

from __future__ import annotations

import heapq
import itertools
import math

from framework.errors import InvalidRequestError
from plugin_pool.pool import ResourcePool
from plugin_pool.request import Request
from plugin_pool.simulation.outcome import Outcome, Tally
from plugin_pool.simulation.workload import Arrival, Stream, Workload
from plugin_pool.strategies import Chooser
from plugin_pool.waiter import Waiter

MOST_TASKS = 1_000_000
"""Tasks of one simulation."""


class Task(Waiter):
    """A task that waits in simulated time."""

    def __init__(self, number: int, arrival: Arrival, request: Request, begun: list[Task]) -> None:
        super().__init__(f"{arrival.stream.name}-{number}", request, priority=arrival.stream.priority)
        self.arrival = arrival
        self.started = 0.0
        self._begun = begun

    def prepare(self) -> None:
        """Nothing is needed to wait: no time passes unless the simulation says so."""

    def wake(self) -> bool:
        """Note that it was served; it starts as soon as the pool has done what it is at."""
        self._begun.append(self)
        return True


class _Play:
    """One workload played against one pool."""

    def __init__(self, workload: Workload, *, strategy: Chooser, patience: float, aging: float) -> None:
        self.now = 0.0
        self.pool = ResourcePool(strategy=strategy, patience=patience, aging=aging, clock=lambda: self.now)
        for one in workload.entities:
            self.pool.add_resource(one)
        self.tallies = {one: Tally(one.name, one.duration.mean) for one in workload.streams}
        self._requests: dict[Stream, Request] = {one: self.pool.prepare(one.requirements) for one in workload.streams}
        self._numbers = itertools.count(1)
        self._begun: list[Task] = []
        self._waiting: dict[Task, None] = {}
        self._endings: list[tuple[float, int, Task]] = []

    def come(self, arrival: Arrival) -> None:
        """Let a task come, after all that ended before."""
        self.until(arrival.at)
        tally = self.tallies[arrival.stream]
        tally.arrived += 1
        task = Task(next(self._numbers), arrival, self._requests[arrival.stream], self._begun)
        if self.pool.join(task):
            self._waiting[task] = None
        elif task.lease is not None:
            self._start(task)
        else:
            tally.refused += 1

    def until(self, time: float) -> None:
        """Let everything end that does so up to a time."""
        while self._endings and self._endings[0][0] <= time:
            self.now, _, task = heapq.heappop(self._endings)
            self.pool.release_resources(task.task_id)
            tally = self.tallies[task.arrival.stream]
            tally.completed += 1
            tally.used += task.arrival.duration * len(task.got)
            self._start_those_begun()
        self.now = time

    def _start_those_begun(self) -> None:
        for task in self._begun:
            del self._waiting[task]
            self._start(task)
        self._begun.clear()

    def _start(self, task: Task) -> None:
        task.started = self.now
        self.tallies[task.arrival.stream].waits.append(self.now - task.since)
        heapq.heappush(self._endings, (self.now + task.arrival.duration, next(self._numbers), task))

    def stop(self) -> None:
        """Count what still runs and what still waits."""
        for _, _, task in self._endings:
            self.tallies[task.arrival.stream].used += (self.now - task.started) * len(task.got)
        for task in self._waiting:
            self.tallies[task.arrival.stream].waiting.append(self.now - task.since)


def simulate(
    workload: Workload,
    *,
    strategy: Chooser = "best_fit",
    name: str = "",
    patience: float = 2.0,
    aging: float = 10.0,
    seed: int = 1,
    seconds: float = math.inf,
    tasks: int = MOST_TASKS,
) -> Outcome:
    """Return what becomes of a workload; the same for the same arguments, unless a strategy draws lots.

    It ends after `seconds` of its own time, or when so many tasks have come, whatever is first. What then runs or waits
    is not waited for, so that a workload that is too much for the pool shows as that.

    Args:
        workload: The entities and the tasks.
        strategy: As for `ResourcePool`. One with a state of its own must be fresh.
        name: What the strategy is called in the outcome.
        patience: As for `ResourcePool`.
        aging: As for `ResourcePool`.
        seed: Another number gives another course of the same workload.
        seconds: Simulated seconds.
        tasks: How many tasks come at most.

    Raises:
        InvalidRequestError: An entity or a requirement is wrong, or more than `MOST_TASKS` tasks were to come.
    """
    if min(tasks, seconds * workload.rate) > MOST_TASKS:
        raise InvalidRequestError(
            f"The simulation would have {min(tasks, seconds * workload.rate):.3g} tasks; {MOST_TASKS:,} are allowed.",
            "Simulate a shorter time, or fewer tasks.",
        )
    play = _Play(workload, strategy=strategy, patience=patience, aging=aging)
    end = seconds
    for number, arrival in enumerate(workload.arrivals(seed), 1):
        if arrival.at >= seconds:
            break
        play.come(arrival)
        if number >= tasks:
            end = arrival.at
            break
    play.until(end)
    play.stop()
    shown = name or (strategy if isinstance(strategy, str) else getattr(strategy, "name", ""))
    return Outcome(shown, end, workload.capacity, tuple(play.tallies.values()))
