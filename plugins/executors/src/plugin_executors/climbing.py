"""Finding the number of workers that gets most done, from how much gets done: hill climbing with a dead band.

The right number is a property of the work: tasks that sleep go faster the more there are, those that hash as far as
there are CPUs, and those of pure Python, in threads, not at all.
"""

from __future__ import annotations

_GAIN, _LOSS = 1.05, 0.97
"""More workers must get this much more done to be kept, and fewer no less than this, or it is taken for noise."""
_CHANGED = 0.3
"""By how much the rate must differ from what it was for the work to be another."""
_PATIENCE = 16
"""Most ticks between two trials."""
_SMOOTHING = 0.3


class HillClimb:
    """Says after each measurement how many workers to have next. Steps are by a half, so that 64 are reached soon.

    Args:
        size: The number of workers at first.
    """

    def __init__(self, size: int) -> None:
        self._best = size
        self._rate = 0.0
        self._upwards = True
        self._wait = 1
        self._failures = 0
        self._needed = False  # whether fewer have got less done

    def next(self, size: int, rate: float, *, least: int, most: int, throttled: bool = False) -> int:
        """Return the number of workers to try or keep.

        Args:
            size: The number while the rate was measured.
            rate: Tasks completed in a second, while there was more to do than workers.
            least: Fewest workers allowed.
            most: Most workers allowed.
            throttled: Whether the quota of a control group held workers back: then more are tried only where fewer
                have got less done.
        """
        if not least <= self._best <= most:
            return self._settle(min(max(self._best, least), most), 0.0)
        if size == self._best:
            if not self._holds(rate):
                return size
        elif self._better(size, rate):
            self._best, self._rate, self._failures, self._needed = size, max(rate, self._rate * _LOSS), 0, False
        else:
            self._needed = self._needed or size < self._best
            self._upwards = not self._upwards
            self._failures += 1
            self._wait = min(_PATIENCE, 1 << self._failures)
            return self._best
        return self._trial(least, most, may_grow=self._needed or not throttled)

    def _holds(self, rate: float) -> bool:
        """Learn the rate of the best size; return whether it is time to try another."""
        if not self._rate or abs(rate / self._rate - 1) > _CHANGED:
            self._rate, self._wait, self._failures, self._needed = rate, min(self._wait, 1), 0, False
        self._rate += _SMOOTHING * (rate - self._rate)
        self._wait -= 1
        return self._wait <= 0

    def _better(self, size: int, rate: float) -> bool:
        return rate > self._rate * (_GAIN if size > self._best else _LOSS)

    def _trial(self, least: int, most: int, *, may_grow: bool) -> int:
        up, down = self._best + max(1, self._best // 2), self._best - max(1, self._best // 3)
        self._upwards = self._best < most and ((self._upwards and may_grow) or self._best <= least)
        if self._upwards:
            return min(up, most)
        if self._best > least:
            return max(down, least)
        self._upwards, self._wait = True, _PATIENCE
        return self._best

    def _settle(self, size: int, rate: float) -> int:
        self._best, self._rate, self._wait = size, rate, 1
        return size
