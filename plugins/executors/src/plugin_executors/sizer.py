"""Has the size of a pool follow the work, its bounds and its setting, while tasks are completed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from plugin_executors.bounds import Throttle
from plugin_executors.climbing import HillClimb
from plugin_executors.worker_pool import WorkerPool

IDLE_S = 10.0
"""Seconds after which a worker of a pool whose size adapts ends, if it has nothing to do."""

_TICK_S = 0.5
_LONGEST_S = 5.0
_SETTLING_S = 0.1
"""How long a change of size is given before a measurement starts."""
_LEAST_TASKS = 8


class Sizer:
    """Decides about a pool's size every half second, in whatever worker completes a task then.

    A measurement counts only if there was more to do than workers at both its ends, and something to do all the while;
    it takes longer where tasks do.

    Args:
        pool: The pool.
        most: Returns the most workers that it may have now.
        fixed: Returns a number that is to be kept, or None where the size adapts.
        held: Returns whether the pool must not grow now.
    """

    def __init__(
        self,
        pool: WorkerPool,
        most: Callable[[], int],
        fixed: Callable[[], int | None] = lambda: None,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pool = pool
        self._most = most
        self._fixed = fixed
        self._held = held
        self._climb = HillClimb(pool.workers)
        self._throttle = Throttle()
        self._since = math.inf
        self._completed = self._lulls = 0

    def tick(self, now: float) -> float:
        """Look at the pool at a time of the monotonic clock; return when to look again."""
        fixed = self._fixed()
        self._pool.idle_s = IDLE_S if fixed is None else None
        if fixed is not None:
            self._become(min(fixed, self._most()))
            return now + _TICK_S
        if self._pool.unfinished <= self._pool.workers:
            self._since = math.inf  # what is not asked for cannot be measured
            return now + _TICK_S
        if self._since == math.inf or self._pool.lulls != self._lulls:
            return self._start(now)
        done, seconds = self._pool.completed - self._completed, now - self._since
        if done < max(_LEAST_TASKS, 2 * self._pool.workers) and seconds < _LONGEST_S:
            return now + _TICK_S / 2
        return self._decide(done / seconds, now)

    def _decide(self, rate: float, now: float) -> float:
        size, most = self._pool.workers, self._most()
        if self._held():
            most = min(most, size)
        wanted = self._climb.next(size, rate, least=1, most=most, throttled=self._throttle.is_heavy())
        if not self._become(wanted):
            return self._start(now)
        self._since = math.inf
        return now + _SETTLING_S

    def _start(self, now: float) -> float:
        self._since, self._completed, self._lulls = now, self._pool.completed, self._pool.lulls
        return now + _TICK_S

    def _become(self, workers: int) -> bool:
        if workers == self._pool.workers:
            return False
        self._pool.resize(workers)
        return True


def attach(sizer: Sizer, pool: WorkerPool) -> None:
    """Have a sizer asked while tasks are completed."""
    pool.tick = sizer.tick
    pool.tick_at = time.monotonic() + _SETTLING_S
