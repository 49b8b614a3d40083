"""`Keepable`: what a pool offers to those who want it kept over restarts."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugin_pool.keeping.persistence import Durability, Persistence
from plugin_pool.records import TaskResourceAllocation

if TYPE_CHECKING:
    from plugin_pool.keeping.kept import KeptPool
    from plugin_pool.lease import Lease


class Keepable:
    """A pool that can be kept in a directory; one that is made by its class is not."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Durability | str = Durability.BUFFERED,
        ask: Callable[[TaskResourceAllocation], bool | None] | None = None,
        grace: float | None = 30.0,
        ask_timeout: float = 10.0,
        recover: str = "strict",
        **parameters: Any,
    ) -> KeptPool:
        """Return the pool that is kept in a directory, which is made if need be, and keep it there from now on.

        Leases that were held when it was last closed, or its process died, are held again. One process at a time has it
        open. The directory must be on a local disk.

        Args:
            path: The directory.
            durability: `none` keeps what there is when the pool is closed. `buffered` has every change with the
                operating system before the call that made it returns: no death of the process loses any. `fsync` has
                what it gives on the disk before it is given: no loss of power does either.
            ask: Called for each lease that is found, outside of all locks, in another thread. Returns True where it is
                to be kept, False where it is to be released, None where that is unknown; so it is when it raises.
            grace: Seconds after which leases end as `expired` that have no time to live, whose process is dead, and of
                which nobody knows; they are asked for again then. None to keep them.
            ask_timeout: Seconds that all answers together may take; those that are late are unknown.
            recover: `strict` raises where a file is damaged. `salvage` keeps what can be proved, puts the file aside,
                and says in `persistence.notes` what was lost.
            parameters: Those of the class.

        Raises:
            InvalidRequestError: A parameter is wrong, or the directory is about something else.
            PolicyError: The directory belongs to somebody else, or others may write to it.
            ResourceUnavailableError: The directory cannot be used, or another process has the pool open.
            StateError: A file is damaged.
        """
        from plugin_pool.keeping.opening import open_pool  # which knows this module

        return open_pool(
            path,
            parameters,
            durability=durability,
            ask=ask,
            grace=grace,
            ask_timeout=ask_timeout,
            recover=recover,
        )

    @property
    def persistence(self) -> Persistence | None:
        """How the pool is kept on disk; None where it is not."""
        return None

    def confirm(self, lease: Lease) -> None:
        """Return once what a lease has is kept as well as was asked for when the pool was opened.

        `acquire` and the like do so themselves; it is for those who let their own waiters `join`.
        """
