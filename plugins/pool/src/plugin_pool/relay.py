"""`Relay`: hands over what was told under a lock to a function that may do anything, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue

from framework import get_logger

Follower = Callable[[str, Mapping[str, object]], object]
"""Is told of a change: its name, as `pool_task_granted`, and what else there is to say."""

MOST = 100_000
"""So many changes are kept for a follower that is slow; what comes after that is dropped, and counted."""
_SOON = 5.0
"""Seconds that are waited for a follower to take in the rest when it is told no more."""


class Relay:
    """Calls a follower, once for each change and in order. The thread begins with the first one.

    Args:
        follower: Who is told. One that raises is logged, and told of what comes next.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._queue: SimpleQueue[tuple[str, Mapping[str, object]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self.dropped = 0
        """Changes that were dropped."""

    def put(self, change: str, details: Mapping[str, object]) -> None:
        """Have the follower told, which takes a moment, whatever it does; not to be called by two threads at once."""
        if self._queue.qsize() >= MOST:
            self.dropped += 1
            return
        if self._thread is None or not self._thread.is_alive():  # none yet, or this is a forked child
            self._thread = threading.Thread(target=self._serve, name="pool-relay", daemon=True)
            self._thread.start()
        self._queue.put((change, details))

    def close(self) -> None:
        """End the thread when the follower was told of everything, or stop waiting for that."""
        if self._thread is not None:
            self._queue.put(None)
            if self._thread is not threading.current_thread():
                self._thread.join(_SOON)

    def _serve(self) -> None:
        if self._thread is not threading.current_thread():  # whoever started it was interrupted
            return
        told = 0
        while (one := self._queue.get()) is not None:
            try:
                self._follower(*one)
            except Exception as error:  # noqa: BLE001 - whoever follows must not end the telling
                self._fail(error)
            if self.dropped > told:
                told = self.dropped
                get_logger().warning("pool_changes_dropped", dropped=told)

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th …: there may be very many
            get_logger().error(
                "pool_follower_failed", error=f"{type(error).__name__}: {error}", failures=self._failures
            )
