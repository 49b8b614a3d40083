"""`Commit`: one write to the disk for all threads that wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Place = tuple[int, int]
"""The number of a journal, and a byte of it."""


class Commit:
    """Knows up to where everything is on the disk. The first thread that needs more writes; others wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._writing = False
        self._done: Place = (0, 0)

    def settle(self, place: Place, write: Callable[[], Place]) -> None:
        """Return once everything before a place was written, or was tried to be.

        Args:
            place: The place.
            write: Writes everything that there is, and returns up to where.
        """
        while self._turn(place):
            done: Place = (0, 0)
            try:
                done = write()
            finally:
                self._end(done)

    def _turn(self, place: Place) -> bool:
        """Return True when this thread must write, and False once it need not."""
        with self._changed:
            while self._done < place:
                if not self._writing:
                    self._writing = True
                    return True
                self._changed.wait()
        return False

    def _end(self, done: Place) -> None:
        with self._changed:
            self._writing = False
            self._done = max(self._done, done)
            self._changed.notify_all()

    @contextmanager
    def pause(self, done: Place) -> Iterator[None]:
        """Let nobody write meanwhile; everything before a place has been written otherwise."""
        with self._changed:
            while self._writing:
                self._changed.wait()
            self._done = max(self._done, done)
            yield
            self._changed.notify_all()
