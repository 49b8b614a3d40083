"""Process executors. The pool itself is imported when the first one is made: starting processes is not cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_executors.executor import PoolResource
from plugin_executors.outcome import ends_within

if TYPE_CHECKING:
    from plugin_executors.process_pool import ProcessPool

TERMINATED_S = 1.0
"""Seconds between SIGTERM, which lets a task's own handler tidy up, and SIGKILL."""


class ProcessExecutor(PoolResource):
    """A pool of processes; see `PoolResource`.

    Functions are found again in the workers by module and name, so they must be importable. A worker that dies is
    replaced, and its task tried again; a task that ends one worker after the other fails with `WorkerDiedError`.
    """

    executor: ProcessPool

    async def _close(self) -> None:
        pool = self.executor
        pool.shutdown(wait=False, cancel_futures=True)
        if not await ends_within(pool.ended, self._grace):
            pool.stop(self._grace, force=False)
            if not await ends_within(pool.ended, TERMINATED_S):
                pool.stop(self._grace, force=True)
                await ends_within(pool.ended, None)
        pool.join(1)  # they have nothing left to do but to end
