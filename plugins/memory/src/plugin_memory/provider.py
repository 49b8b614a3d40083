"""`MemoryProvider`: creates shared memory and buffers."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from framework import Ledger, ResourceProvider, creates
from plugin_memory import shared
from plugin_memory.buffer import Buffer, map_anonymous
from plugin_memory.holdings import Holdings
from plugin_memory.limits import check_memory, check_shared_memory
from plugin_memory.shared import SharedMemory

SHARED = "memory.shared"
ATTACHED = "memory.attached"
BUFFER = "memory.buffer"


class MemoryProvider(ResourceProvider):
    """Creates memory that other processes can attach to, attaches to it, and creates memory of this process.

    Args:
        max_bytes: Most bytes held at once by this provider; no cap of its own when None. Attached memory does not
            count, because its creator's provider counts it.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, max_bytes: int | None = None, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self.holdings = Holdings((SHARED, BUFFER), max_bytes)

    @creates(SHARED)
    async def create_shared_memory(self, name: str, size: int, persistent: bool = False) -> SharedMemory:
        """Memory that other processes of the same user can attach to by name.

        Args:
            name: What others attach by.
            size: Bytes, at least 1; all of them are reserved now.
            persistent: True to leave the segment, with what was written, when it is released.

        Raises:
            InvalidRequestError: The size is 0.
            ResourceLimitError: It is more than the machine, its control group, /dev/shm or `max_bytes` has.
            ResourceUnavailableError: The name is taken, or there is no room now.
        """
        check_memory(SHARED, size)
        check_shared_memory(SHARED, size)
        with self.holdings.taking(SHARED, size):
            segment = await shared.create_segment(SHARED, name, size)
        return SharedMemory(segment, partial(self.holdings.drop, SHARED, size), owned=not persistent)

    @creates(ATTACHED)
    async def attach_shared_memory(self, name: str) -> SharedMemory:
        """Shared memory that somebody else created, borrowed: the release never removes it.

        Args:
            name: The name it was created by.

        Raises:
            ResourceUnavailableError: There is none of that name, or it is not complete yet.
            PolicyError: It belongs to another user.
        """
        return SharedMemory(shared.attach_segment(ATTACHED, name), _nothing, owned=False)

    @creates(BUFFER)
    async def create_buffer(self, name: str, size: int) -> Buffer:
        """Zeroed memory of this process alone, taken page by page as it is written to.

        Args:
            name: What it is called in the ledger.
            size: Bytes, at least 1.

        Raises:
            InvalidRequestError: The size is 0.
            ResourceLimitError: It is more than the machine, its control group or `max_bytes` has.
            ResourceUnavailableError: The system refuses the address space.
        """
        check_memory(BUFFER, size)
        with self.holdings.taking(BUFFER, size):
            mapping = map_anonymous(BUFFER, size)
        return Buffer(mapping, partial(self.holdings.drop, BUFFER, size))

    async def remove_shared_memory(self, name: str) -> None:
        """Remove a segment that was left behind on purpose (`persistent`) or by a process that died.

        Processes that have it mapped keep their mapping.

        Raises:
            ResourceUnavailableError: There is none of that name, or it may not be removed.
        """
        shared.remove_segment(SHARED, name)


def _nothing() -> None:
    """Attached memory is counted by nobody here."""
