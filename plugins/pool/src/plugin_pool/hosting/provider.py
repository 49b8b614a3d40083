"""`PoolProvider`: lends the entities of a pool through a host, so that the ledger knows who holds what."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal

from framework import Ledger, Resource, ResourceProvider, creates
from framework.errors import ResourceError
from plugin_pool.errors import ShortageError
from plugin_pool.hosting.link import Link
from plugin_pool.hosting.pooled import PooledEntities
from plugin_pool.pool import ResourcePool

_LONGEST = 200
"""Most bytes in the name of a resource."""


class PoolProvider(ResourceProvider):
    """Lends entities of a pool. Nothing of it outlives the process, so there is nothing to recover.

    Args:
        pool: Whose entities are lent.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name = "pool"

    def __init__(self, pool: ResourcePool, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self._pool = pool
        self._link = Link(pool)
        self._waiting: set[str] = set()

    def create(self, kind: str, **parameters: Any) -> Coroutine[Any, Any, Resource]:
        """As `ResourceProvider.create`; what has a task and no name is named after the task, where that can be."""
        task = parameters.get("task")
        if "name" not in parameters and isinstance(task, str) and _can_be_a_name(task):
            parameters["name"] = task
        return super().create(kind, **parameters)

    @creates("pool.entity")
    async def create_entity(
        self,
        name: str,
        requirements: Any,
        task: str = "",
        priority: float = 0.0,
        timeout: float | None = None,
        until: Literal["busy", "error", "impossible"] = "busy",
    ) -> PooledEntities:
        """Entities of the pool with the capabilities that a task requires: all of them or none.

        Args:
            name: What the lease is called; like the task, where only that is given.
            requirements: What is required: mappings, records, or a prepared request, as for the pool itself.
            task: The task, for the pool; like the lease when left out.
            priority: The higher, the sooner it is its turn.
            timeout: Most seconds to wait for it; 0 not to wait, None for as long as it takes.
            until: The worst tier to wait in: for others to release, for a repair, or for somebody to add entities.

        Raises:
            InvalidRequestError: A parameter is wrong, or the task holds or waits for something already.
            ResourceUnavailableError: It cannot be had, or was not had in time; `tier` says what it would take.
        """
        holder = task or name
        self._waiting.add(holder)
        try:
            held = await self._pool.acquire_async(holder, requirements, priority=priority, timeout=timeout, until=until)
        except ShortageError as error:
            if self._ready:
                raise
            raise ResourceError(f"The host was closed while the task {holder!r} waited.", resource=name) from error
        finally:
            self._waiting.discard(holder)
        return PooledEntities(self._pool, held, self._link)

    async def cleanup(self) -> None:
        """Release everything still lent, and send away who waits."""
        try:
            await super().cleanup()
        finally:
            for task in list(self._waiting):
                self._pool.dismiss(task)


def _can_be_a_name(task: str) -> bool:
    return task.isprintable() and "/" not in task and task not in {".", ".."} and 0 < len(task.encode()) <= _LONGEST
