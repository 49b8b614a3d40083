"""Process executors. The pool itself is imported when the first one is made: multiprocessing is not cheap."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, TypeVar

from framework.errors import ResourceError
from plugin_executors.executor import PoolResource, title
from plugin_executors.outcome import ends_within, in_daemon_thread

if TYPE_CHECKING:
    from plugin_executors.process_pool import ProcessPool

T = TypeVar("T")

_TERMINATED_S = 1.0
"""Seconds between SIGTERM, which lets a task's own handler tidy up, and SIGKILL."""


class ProcessExecutor(PoolResource):
    """A pool of processes; see `PoolResource`.

    Functions are found again in the workers by module and name, so they must be importable. A worker that dies breaks
    the executor: everything unfinished fails, and another one must be acquired.
    """

    executor: ProcessPool
    _stopper: tuple[Future[None], threading.Thread] | None = None
    _closing = False

    async def _result(self, future: Future[T], function: Callable[..., T]) -> T:
        waiting = super()._result(future, function)
        del future  # a raised exception refers to this frame, and the future to the exception
        try:
            return await waiting
        except BrokenExecutor as error:
            if not self._closing:
                await ends_within(self._stop()[0], _TERMINATED_S)  # only then is it known how the worker ended
                raise self.executor.broken() from error
            raise ResourceError(
                f"executor.process {self.name!r} was released and stopped {title(function)} after {self._grace:g} s.",
                "Release an executor after the last result, or raise the setting stop_grace.",
                resource=self.name,
            ) from error

    async def _close(self) -> None:
        self._closing = True
        ended, thread = self._stop()
        if not await ends_within(ended, self._grace):
            for worker in self.executor.workers_alive():
                worker.terminate()
            if not await ends_within(ended, _TERMINATED_S):
                for worker in self.executor.workers_alive():
                    worker.kill()
                await ends_within(ended, None)
        ended.result()
        thread.join(1)  # it has nothing left to do but to end
        self.executor.forget_workers()

    def _stop(self) -> tuple[Future[None], threading.Thread]:
        if self._stopper is None:
            self._stopper = in_daemon_thread(
                lambda: self.executor.shutdown(wait=True, cancel_futures=True), f"{self.executor.name}-stop"
            )
        return self._stopper
