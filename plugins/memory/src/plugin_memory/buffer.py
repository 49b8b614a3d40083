"""`Buffer`: anonymous memory of this process."""

from __future__ import annotations

import mmap

from framework.errors import ResourceUnavailableError
from plugin_memory.mapping import MappedMemory

SMALL = 64 << 10
"""Sizes up to here, in bytes, come from Python's own allocator: mapping pages takes longer than zeroing them."""


class Buffer(MappedMemory):
    """Zeroed, writable memory that belongs to this process alone; the operating system takes it back in any case."""

    def _give_up(self) -> None:
        """Nothing lies outside this process."""


def anonymous(kind: str, size: int) -> mmap.mmap | bytearray:
    """Return `size` bytes of zeroed memory; a forked child writes to its own copy.

    Raises:
        ResourceUnavailableError: The system refuses the memory or its address space.
    """
    try:
        if size <= SMALL:
            return bytearray(size)
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, MemoryError) as error:
        raise ResourceUnavailableError(
            f"{kind} got size {size}, which the system does not map: {error}.",
            "Ask for less, or raise the limit on address space (ulimit -v).",
        ) from error
