"""`Pace` reads no faster than it was told."""

from __future__ import annotations

import time


class Pace:
    """Slows down who reads.

    Args:
        rate: Most bytes a second on average; None for no limit.
    """

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._started = time.monotonic()
        self._bytes = 0

    def read(self, count: int) -> None:
        """Say that so many bytes were read, and wait until that many may have been."""
        self._bytes += count
        if self._rate is not None:
            time.sleep(max(0.0, self._started + self._bytes / self._rate - time.monotonic()))
