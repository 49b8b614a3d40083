"""`Expiry`: ends leases whose time is over, by a thread that exists only while there are such leases."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Collection

from plugin_pool.lease import Lease

_SPARE = 1024
"""Leases that are noted, beyond one for each that has not ended, before the others are forgotten."""


class Expiry:
    """Leases by the time at which they end.

    Renewing a lease costs nothing here: what was noted is looked at when its time has come, and noted again.

    Args:
        clock: Returns seconds.
        sweep: Ends the leases that are due; called by the thread.
        current: Returns whether a lease has not ended yet; called where the pool's lock is held.
    """

    def __init__(
        self, clock: Callable[[], float], sweep: Callable[[], object], current: Callable[[Lease], bool]
    ) -> None:
        self._clock = clock
        self._sweep = sweep
        self._current = current
        self._most = _SPARE
        self._heap: list[tuple[float, int, Lease]] = []
        self._lock = threading.Lock()  # which is taken by itself: see `Change` for why
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def note(self, lease: Lease) -> None:
        """Take note of a lease that ends some time."""
        if lease.expires is None:
            return
        with self._lock:
            self._tidy()
            heapq.heappush(self._heap, (lease.expires, lease.epoch, lease))
            if self._thread is None:
                self._start()
            elif self._heap[0][2] is lease:
                self._changed.notify()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pool-expiry", daemon=True)
        self._thread.start()

    def mend(self, leases: Collection[Lease]) -> None:
        """Take note of all leases anew, after an interrupt."""
        with self._lock:
            now = self._clock()
            for one in leases:
                if one.expires is None and one.ttl is not None:  # it was given, but its time not yet begun
                    one.expires = now + one.ttl
            self._heap = [(one.expires, one.epoch, one) for one in leases if one.expires is not None]
            heapq.heapify(self._heap)
            if self._thread is not None and self._thread.is_alive():
                self._changed.notify()
            elif self._heap:
                self._start()

    def _tidy(self) -> None:
        """Forget those that have ended long before their time, whenever there are twice as many as were left then."""
        if len(self._heap) < self._most:
            return
        left = {lease: lease.expires for _, _, lease in self._heap if self._current(lease)}
        self._heap = [(ends, one.epoch, one) for one, ends in left.items() if ends is not None]
        heapq.heapify(self._heap)
        self._most = 2 * len(self._heap) + _SPARE

    def due(self) -> list[Lease]:
        """Return the leases whose time is over, of those that are current, and forget them."""
        found: dict[Lease, None] = {}
        with self._lock:
            now = self._clock()
            while self._heap and self._heap[0][0] <= now:
                lease = heapq.heappop(self._heap)[2]
                if lease.expires is None or not self._current(lease):
                    continue
                if lease.expires > now:
                    heapq.heappush(self._heap, (lease.expires, lease.epoch, lease))
                else:
                    found[lease] = None
        return list(found)

    def close(self) -> None:
        """Forget all leases, and end the thread."""
        with self._lock:
            self._heap.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._thread is not threading.current_thread():  # whoever started it was interrupted
                    return
                if not self._heap:
                    self._thread = None
                    return
                left = self._heap[0][0] - self._clock()
                if left > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                    continue
            self._sweep()
