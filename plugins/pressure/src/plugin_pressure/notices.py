"""`Notices`: tells others of a new level, in a thread of its own, so that nobody can hold up the watch."""

from __future__ import annotations

import contextlib
import threading
from queue import SimpleQueue

from framework import Host
from framework.errors import PluginError

_SOON = 1.0
"""Seconds that are waited for the last call to end."""

Notice = tuple[str, str, str]
"""The level, the one before, and why."""


class Notices:
    """Calls the hook `pressure_changed`, once for each notice, in order. The thread begins with the first one.

    Args:
        host: Whose hooks are called.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._queue: SimpleQueue[Notice | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def send(self, level: str, former: str, reason: str) -> None:
        """Have everybody told."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="framework-pressure-notices", daemon=True)
            self._thread.start()
        self._queue.put((level, former, reason))

    def close(self) -> None:
        """End the thread when everybody was told, or stop waiting for it."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_SOON)
            self._thread = None

    def _serve(self) -> None:
        while (notice := self._queue.get()) is not None:
            level, former, reason = notice
            with contextlib.suppress(PluginError):  # the plugin that specifies it, this one, was just stopped
                self._host.hooks.call("pressure_changed", level=level, former=former, reason=reason)
