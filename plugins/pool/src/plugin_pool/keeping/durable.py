"""`DurablePool`: a kept pool that gives nothing before it is on the disk."""

from __future__ import annotations

import asyncio

from framework.errors import ResourceUnavailableError
from plugin_pool.keeping.kept import KeptPool
from plugin_pool.lease import Lease
from plugin_pool.records import AllocationResult, ReleaseReason
from plugin_pool.waiter import LoopWaiter, ThreadWaiter, Waiter


class DurablePool(KeptPool):
    """A pool whose callers wait until what they are given is on the disk; those that wait together wait for one write.

    Where it cannot be written they hold nothing, and get a ResourceUnavailableError.
    """

    def allocate_resources(self, task_id: str, requirements: object, *, ttl: float | None = None) -> AllocationResult:
        """As of every pool, once it is on the disk."""
        found = super().allocate_resources(task_id, requirements, ttl=ttl)
        if found:
            try:
                self._keeper.settle()
            except BaseException:
                self.release_resources(task_id, ReleaseReason.CANCELLED, epoch=found.epoch)
                raise
        return found

    def confirm(self, lease: Lease) -> None:
        """Return once what a lease has is on the disk; where it cannot be written, end the lease.

        Raises:
            ResourceUnavailableError: It cannot be written.
        """
        try:
            self._keeper.settle()
        except ResourceUnavailableError:
            lease.release(ReleaseReason.CANCELLED)
            raise

    def _by_thread(self, waiter: ThreadWaiter, timeout: float | None) -> Lease:
        lease = super()._by_thread(waiter, timeout)
        try:
            self._keeper.settle()
        except BaseException:
            self._undo(waiter)
            raise
        return lease

    async def _by_loop(self, waiter: LoopWaiter, timeout: float | None) -> Lease:
        lease = await super()._by_loop(waiter, timeout)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._keeper.settle)
        except BaseException:
            self._undo(waiter)
            raise
        return lease

    def _undo(self, waiter: Waiter) -> None:
        """Take back what a task was given, unless it has given it back itself."""
        self._abandon(waiter)
