"""`Rate`: how fast a counter rises between two looks."""

from __future__ import annotations

LEAST_SECONDS = 0.05
"""Two looks that are nearer than this count as one: the kernel counts time in steps of 10 ms."""


class Rate:
    """How much a counter rose a second, between the last two looks that are `LEAST_SECONDS` apart.

    A counter that falls was reset, or another one is looked at: then the rate is that of before until the next look.
    The same holds while time stands still. Not thread-safe.
    """

    def __init__(self) -> None:
        self.last = 0.0
        self._key: object = None
        self._seen: tuple[float, float] | None = None

    @property
    def seen(self) -> bool:
        """Whether there was a look at all."""
        return self._seen is not None

    def of(self, value: float, now: float, key: object = None) -> float:
        """Return the rate when a counter has this value at this time, in seconds; 0 at the first look.

        Args:
            value: What the counter says.
            now: When it said so.
            key: Whose counter it is: the values of two counters have no rate.
        """
        if self._seen is None or key != self._key or value < self._seen[0] or now < self._seen[1]:
            self._seen, self._key = (value, now), key
        elif now - self._seen[1] >= LEAST_SECONDS:
            self.last = (value - self._seen[0]) / (now - self._seen[1])
            self._seen = (value, now)
        return self.last
