"""`Attachment`: what a pool does only in a host: it is measured, tells the log, warns, and answers other processes."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from framework import Host, get_logger
from framework.errors import PluginError
from plugin_pool.hosting.listener import Listener
from plugin_pool.hosting.measures import Measures
from plugin_pool.hosting.notice import Notice
from plugin_pool.hosting.rulebook import Rulebook
from plugin_pool.hosting.warden import Warden
from plugin_pool.pool import ResourcePool


class Attachment:
    """Attaches a pool to a host, from `start` to `stop`.

    Args:
        pool: The pool.
        host: The host, whose hooks are called.
        warn_after: Seconds of waiting after which there is a warning; None for never.
        rules: Rules for inference that the configuration adds.
        answer: Whether other processes may ask what waits.
    """

    def __init__(
        self,
        pool: ResourcePool,
        host: Host,
        *,
        warn_after: float | None,
        rules: Iterable[object] = (),
        answer: bool = True,
    ) -> None:
        self._pool = pool
        self._host = host
        self._rules = rules
        self._measures = Measures(pool)
        self._warden = Warden(pool, self._tell, after=warn_after)
        self._listener = Listener(pool, lambda: host.state_directory("pool")) if answer else None
        self._changing = threading.Lock()
        self._end: Callable[[], None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin."""
        self._pool.rules = Rulebook(self._host.hooks, self._rules)
        self._measures.start()
        self._warden.start()
        if self._listener is not None:
            self._listener.start()
        self.adjust()

    def stop(self) -> None:
        """End."""
        if self._listener is not None:
            self._listener.stop()
        self._measures.stop()
        self._warden.stop()
        self._stopped = True  # who measures at this moment must not have it followed again
        self._adjust(wanted=False)

    def adjust(self) -> None:
        """Follow the pool as long as somebody listens to events of level debug: otherwise it must cost nothing."""
        self._adjust(wanted=get_logger().is_enabled_for(logging.DEBUG))

    def _adjust(self, *, wanted: bool) -> None:
        with self._changing:
            if wanted and self._end is None and not self._stopped:
                self._end = self._pool.follow(_log)
            elif not wanted and self._end is not None:
                self._end()
                self._end = None

    def _tell(self, notice: Notice, over: bool) -> None:
        level = logging.INFO if over else logging.WARNING
        said = {"cause": notice.cause, "reason": notice.reason, "task": notice.task}
        more = {"count": notice.count, "sentence": notice.sentence, "remedy": notice.remedy}
        name = "pool_unblocked" if over else "pool_blocked"
        get_logger().log(level, name, **said, **({} if over else more))
        with contextlib.suppress(PluginError):  # the plugin that specifies it, this one, was just stopped
            self._host.hooks.call(name, **said, **({} if over else more))


def _log(change: str, details: Mapping[str, object]) -> None:
    get_logger().debug(change, **details)
