"""`Admission`: lets acquisitions wait while there is no room, and refuses them when that takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from framework.errors import AdmissionRefusedError


class Admission:
    """Open, until somebody pauses it. Thread-safe; those who wait are in asyncio."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        self._deadline = 0.0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.paused = False
        """Whether acquisitions wait, or are refused, now."""
        self.refused = 0
        """Acquisitions that were refused so far."""

    @property
    def reason(self) -> str:
        """Why it is paused; nothing while it is open."""
        return self._reason

    @property
    def waiting(self) -> int:
        """Acquisitions that wait now."""
        return len(self._waiting)

    def pause(self, reason: str, seconds: float) -> None:
        """Let acquisitions wait. After so many seconds those that wait are refused, and from then on all, at once.

        Pausing what is paused changes the reason and leaves the time: a pause must not grow without end.
        """
        with self._lock:
            if not self.paused:
                self._deadline = time.monotonic() + seconds
            self._reason = reason
            self.paused = True

    def resume(self) -> None:
        """Let all go on that wait; resuming what is open does nothing."""
        with self._lock:
            self.paused = False
            self._reason = ""
            waiting = list(self._waiting)
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(event.set)

    async def wait(self, kind: str) -> None:
        """Return as soon as an acquisition may go on.

        Raises:
            AdmissionRefusedError: The pause takes too long.
        """
        while self.paused:
            entry = asyncio.get_running_loop(), asyncio.Event()
            with self._lock:
                if not self.paused:
                    return
                self._waiting.add(entry)
                left, reason = self._deadline - time.monotonic(), self._reason
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await entry[1].wait()
            except TimeoutError:
                self.refused += 1
                raise AdmissionRefusedError(
                    f"{kind} was refused: {reason}.",
                    "Release what you hold, or ask again later; `framework resources list` says who holds what.",
                    resource=kind,
                ) from None
            finally:
                with self._lock:
                    self._waiting.discard(entry)
