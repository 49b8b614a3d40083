"""`PooledEntities`: what a host lends of the kind `pool.entity`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType

from framework import Resource, ResourceStatus, Usage
from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool.hosting.link import Link
from plugin_pool.lease import Lease
from plugin_pool.pool import ResourcePool
from plugin_pool.records import ReleaseReason, ResourceInstance

_AS_THE_POOL = {
    ResourceStatus.AVAILABLE: ResourceStatus.DEPLOYED,
    ResourceStatus.ERROR: ResourceStatus.DEPLOYED,
}
"""What the pool calls it when a task holds something and does nothing with it."""

_releasing: set[asyncio.Task[None]] = set()


class PooledEntities(Resource):
    """What one task holds of a pool, as a lease of the host's ledger.

    Left by an error, it is released as `failed`; by cancellation, or because nobody refers to it any more, as
    `cancelled`; when its time to live is over, as `expired`; else as `completed`. What is then in error is up to the
    pool.
    """

    lent_as = Usage.DEPLOYED

    def __init__(self, pool: ResourcePool, held: Lease, link: Link) -> None:
        self._pool = pool
        self._held = held
        self._link = link
        self._ending: ReleaseReason | None = None
        self._faulty: tuple[str, ...] | None = None
        link.follow(held, self)

    @property
    def task(self) -> str:
        """The task that the pool knows as the holder."""
        return self._held.task_id

    @property
    def resources(self) -> tuple[str, ...]:
        """Ids of the entities that it holds, or held last."""
        return self._held.resources

    @property
    def entities(self) -> tuple[ResourceInstance, ...]:
        """Records of them, as they are now.

        Raises:
            InvalidRequestError: One was removed from the pool after it was released.
        """
        return tuple([self._pool.get_resource(one) for one in self.resources])

    async def extend(self, requirements: object, *, priority: float = 0.0, timeout: float | None = None) -> None:
        """Take more, as soon as it is its turn; when that fails or is cancelled, it holds what it held.

        Args:
            requirements: What else is required.
            priority: The higher, the sooner.
            timeout: Most seconds to wait; None for as long as it takes.

        Raises:
            InvalidRequestError: A parameter is wrong, or it holds nothing any more.
            ShortageError: It cannot be had, or was not had in time.
            DeadlockError: It would wait for tasks that wait for what it holds itself.
        """
        await self._pool.extend_async(self.task, requirements, priority=priority, timeout=timeout)

    def mark(self, usage: Usage) -> None:
        """Say what the task is doing; the pool shows it too. With `ERROR` the entities await a repair after it.

        Raises:
            LeaseStateError: It is not held any more.
        """
        super().mark(usage)
        task, epoch = self.task, self._held.epoch
        if usage is Usage.BUSY:
            held = self._pool.mark_executing(task, epoch=epoch)
        elif usage is Usage.BLOCKED:
            held = self._pool.mark_blocked(task, epoch=epoch)
        else:
            held = self._pool.mark_deployed(task, epoch=epoch)
        if usage is Usage.ERROR and held:  # else it was taken back just now, and may be somebody else's already
            for one in self.resources:
                self._pool.quarantine_resource(one)

    async def release(self, reason: ReleaseReason | str | None = None, *, faulty: Iterable[str] | None = None) -> None:
        """Give it back; of several calls the first says why.

        Args:
            reason: Why; by default what the class says.
            faulty: Ids of those entities that are at fault, and none but they; the pool decides when None.

        Raises:
            InvalidRequestError: The reason is unknown, or something else is named than what it holds; it is held still.
        """
        if self.is_allocated() and (reason is not None or faulty is not None):
            named = None if faulty is None else self._checked(faulty)
            ending = None if reason is None else _known(reason)
            if self._ending is None and self._faulty is None:
                self._ending, self._faulty = ending, named
        await super().release()

    def adjust(self) -> None:
        """Follow what became of it in the pool: it does something else, or was taken back there."""
        if not self.is_allocated():
            return
        found = self._pool.get_allocation(self.task)
        if found is None or found.epoch != self._held.epoch:
            task = asyncio.get_running_loop().create_task(self.release())
            _releasing.add(task)  # a loop keeps only weak references to its tasks
            task.add_done_callback(_releasing.discard)
        elif self._held.usage is not _AS_THE_POOL.get(self.status, self.status):
            super().mark(Usage(self._held.usage.value))

    def _close(self) -> None:
        ends = self._lease.ends
        over = ends is not None and ends <= time.monotonic()
        reason = self._ending or (ReleaseReason.EXPIRED if over else ReleaseReason.COMPLETED)
        self._link.forget(self._held)
        self._held.release(reason, faulty=self._faulty)

    def _checked(self, faulty: Iterable[str]) -> tuple[str, ...]:
        named = (faulty,) if isinstance(faulty, str) else tuple(faulty)
        for one in named:
            if one not in self.resources:
                raise InvalidRequestError(
                    f"The resource {one!r:.60} is not held by task {self.task!r}, and cannot be its fault.",
                    f"It holds {', '.join(self.resources[:10])}.",
                    resource=self.name,
                )
        return named

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.release()
        else:
            await self.release(ReleaseReason.FAILED if issubclass(kind, Exception) else ReleaseReason.CANCELLED)

    def __del__(self) -> None:
        if getattr(self, "_ending", None) is None:
            self._ending = ReleaseReason.CANCELLED
        super().__del__()


def _known(reason: ReleaseReason | str) -> ReleaseReason:
    if reason not in list(ReleaseReason):
        raise InvalidRequestError(
            f"The reason of a release is {reason!r:.60}; {', '.join(ReleaseReason)} are allowed.",
            did_you_mean(str(reason), [one.value for one in ReleaseReason]) or "Use one of them.",
        )
    return ReleaseReason(reason)
