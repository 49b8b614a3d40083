"""`Commit`: one write to the disk for all threads that wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable

Place = tuple[int, int]
"""The number of a journal, and a byte of it."""


class Commit:
    """Knows up to where everything is on the disk. The first thread that needs more writes; others wait for it.

    Attributes:
        lock: Held by who writes, and by who wants nobody to write meanwhile.
        done: Everything before this place is on the disk, or was tried to be; the lock must be held to change it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done: Place = (0, 0)

    def settle(self, place: Place, write: Callable[[], Place]) -> None:
        """Return once everything before a place was written, or was tried to be.

        Args:
            place: The place.
            write: Writes everything that there is, and returns up to where.
        """
        with self.lock:
            if self.done < place:  # else somebody else has written it while this one waited
                self.done = max(self.done, write())


__all__ = ["Commit", "Place"]
