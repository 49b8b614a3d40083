"""`Lease`: what one task holds."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from framework import ResourceStatus
from framework.errors import InvalidRequestError
from plugin_pool.records import ReleaseReason

_DEPLOYED = ResourceStatus.DEPLOYED

if TYPE_CHECKING:
    from plugin_pool.entity import Entity
    from plugin_pool.pool import ResourcePool


class Lease:
    """What one task holds, until it is released; a context manager that does so.

    Leaving it by an error releases as `failed`, by cancellation as `cancelled`.

    Attributes:
        task_id: The task.
        epoch: Number of this lease, never used again.
        since: When it was given, in seconds since the epoch.
        entities: What it holds, or held last.
        usage: `deployed`, `busy` or `blocked`.
        expires: When it ends unless renewed, by the pool's clock; None for never.
        ttl: The seconds that it lives each time it is renewed.
    """

    __slots__ = ("entities", "epoch", "expires", "pool", "since", "task_id", "ttl", "usage")

    def __init__(
        self, pool: ResourcePool, task_id: str, epoch: int, since: float, entities: tuple[Entity, ...]
    ) -> None:
        self.pool = pool
        self.task_id = task_id
        self.epoch = epoch
        self.since = since
        self.entities = entities
        self.usage = _DEPLOYED
        self.ttl: float | None = None
        self.expires: float | None = None

    @property
    def resources(self) -> tuple[str, ...]:
        """Ids of the entities that it holds, or held last."""
        return tuple([one.id for one in self.entities])

    def named(self, faulty: object) -> tuple[str, ...]:
        """Return the entities that are at fault, of those that it holds.

        Raises:
            InvalidRequestError: One of them it does not hold.
        """
        names = tuple(faulty) if isinstance(faulty, Iterable) and not isinstance(faulty, str) else (faulty,)
        held = self.resources
        for one in names:
            if one not in held:
                raise InvalidRequestError(
                    f"The resource {one!r:.60} is not held by task {self.task_id!r}, and cannot be its fault.",
                    f"It holds {', '.join(held[:10])}.",
                )
        return names

    def mark_executing(self) -> bool:
        """Say that the task runs; see `ResourcePool.mark_executing`."""
        return self.pool.mark_executing(self.task_id, epoch=self.epoch)

    def renew(self, ttl: float | None = None) -> bool:
        """Start the time to live anew; see `ResourcePool.renew`."""
        return self.pool.renew(self.task_id, ttl, epoch=self.epoch)

    def release(self, reason: ReleaseReason | str = ReleaseReason.COMPLETED, *, faulty: object = None) -> bool:
        """Give back what it holds; False when that was done before. See `ResourcePool.release_resources`."""
        return self.pool.release_resources(self.task_id, reason, faulty=faulty, epoch=self.epoch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.release(ReleaseReason.FAILED if issubclass(kind, Exception) else ReleaseReason.CANCELLED)

    def __repr__(self) -> str:
        return f"<Lease {self.epoch} of {self.task_id}: {', '.join(self.resources)}>"
