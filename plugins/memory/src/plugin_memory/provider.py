"""`MemoryProvider`: creates shared memory, buffers and caches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from framework import Ledger, Quota, ResourceProvider, creates
from framework.errors import InvalidRequestError
from plugin_memory import shared
from plugin_memory.buffer import Buffer, anonymous
from plugin_memory.cache import MemoryCache, check_ttl
from plugin_memory.collector import COUNTED
from plugin_memory.limits import check_memory, check_shared_memory
from plugin_memory.shared import SharedMemory

SHARED, BUFFER, CACHE = COUNTED
ATTACHED = "memory.attached"


class MemoryProvider(ResourceProvider):
    """Creates memory that other processes can attach to, attaches to it, and creates memory of this process.

    Args:
        max_bytes: Most bytes held at once; no cap of its own when None. Attached memory does not count, because its
            creator's provider counts it.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, max_bytes: int | None = None, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self.max_bytes = max_bytes

    def quotas(self) -> Iterable[Quota]:
        """Return the cap, over all kinds that are created here."""
        if self.max_bytes is not None:
            yield Quota(kinds=COUNTED, bytes=self.max_bytes, setting="plugins.memory.max_bytes")

    @creates(SHARED)
    async def create_shared_memory(self, name: str, size: int, persistent: bool = False) -> SharedMemory:
        """Memory that other processes of the same user can attach to, by name or else by descriptor.

        Args:
            name: What others attach by. Without one it has no name in the system either (on Linux): others attach by
                its `path`, or inherit its `fd`, and it goes with the last process that has it.
            size: Bytes, at least 1; all of them are reserved now.
            persistent: True to leave the segment, with what was written, when it is released; needs a name.

        Raises:
            InvalidRequestError: The size is 0, or it is persistent without a name.
            ResourceLimitError: It is more than the machine, its control group, /dev/shm or `max_bytes` has.
            ResourceUnavailableError: The name is taken, or there is no room now.
        """
        check_memory(SHARED, size)
        if not self.is_named():
            if persistent:
                raise InvalidRequestError(
                    f"{SHARED} got persistent=True without a name, so nobody could find it afterwards.",
                    "Give it a name, or leave persistent out.",
                )
            memory = await shared.create_nameless(SHARED, name, size)
            if memory is not None:
                return memory
        check_shared_memory(SHARED, size)
        return await shared.create_segment(self, SHARED, name, size, persistent=persistent)

    @creates(ATTACHED)
    async def attach_shared_memory(self, name: str, path: str | None = None) -> SharedMemory:
        """Shared memory that somebody else created, borrowed: the release never removes it.

        Args:
            name: The name it was created by; with a path, only what it is called in the ledger here.
            path: The `path` of memory without a name, or `/proc/self/fd/NUMBER` for a descriptor that was inherited or
                received.

        Raises:
            InvalidRequestError: There is neither a name nor a path, or the path is none of a descriptor.
            ResourceUnavailableError: There is none of that name or at that path, or it is not complete.
            PolicyError: It belongs to another user.
        """
        if path is not None:
            return shared.attach_descriptor(ATTACHED, name, path)
        if not self.is_named():
            raise InvalidRequestError(
                f"{ATTACHED} got neither name nor path; one of them says which memory is meant.",
                "Pass the name of the memory.shared, or its `path` if it has no name.",
            )
        return shared.attach_segment(ATTACHED, name)

    @creates(BUFFER)
    async def create_buffer(self, name: str, size: int) -> Buffer:
        """Zeroed memory of this process alone; above 64 KiB taken page by page as it is written to.

        Args:
            name: What it is called in the ledger.
            size: Bytes, at least 1.

        Raises:
            InvalidRequestError: The size is 0.
            ResourceLimitError: It is more than the machine, its control group or `max_bytes` has.
            ResourceUnavailableError: The system refuses the memory.
        """
        check_memory(BUFFER, size)
        return Buffer(anonymous(BUFFER, size))

    @creates(CACHE)
    async def create_cache(self, name: str, size: int, entry_ttl: float | None = None) -> MemoryCache:
        """A mapping in this process that holds at most `size` bytes, and gives them back when memory is short.

        Args:
            name: What it is called in the ledger.
            size: Most bytes, at least 1; that many count as held, whatever is in it.
            entry_ttl: Seconds that an entry lives unless it says otherwise; until its room is needed when None.

        Raises:
            InvalidRequestError: The size is 0, or `entry_ttl` is not above 0.
            ResourceLimitError: It is more than the machine, its control group or `max_bytes` has.
        """
        check_memory(CACHE, size)
        check_ttl(CACHE, entry_ttl)
        return MemoryCache(size, entry_ttl)

    async def remove_shared_memory(self, name: str) -> None:
        """Remove a segment that was left behind on purpose (`persistent`).

        Processes that have it mapped keep their mapping.

        Raises:
            ResourceUnavailableError: There is none of that name, or it may not be removed.
        """
        shared.remove_segment(SHARED, name)
