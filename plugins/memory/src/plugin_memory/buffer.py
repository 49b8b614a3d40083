"""`Buffer`: anonymous memory of this process."""

from __future__ import annotations

import mmap

from framework.errors import ResourceUnavailableError
from plugin_memory.mapping import MappedMemory


class Buffer(MappedMemory):
    """Zeroed, writable memory that belongs to this process alone; the operating system takes it back in any case."""

    def _give_up(self) -> None:
        """Nothing lies outside this process."""


def map_anonymous(kind: str, size: int) -> mmap.mmap:
    """Map `size` bytes of zeroed memory, private so that a forked child writes to its own copy.

    Raises:
        ResourceUnavailableError: The system refuses the address space.
    """
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise ResourceUnavailableError(
            f"{kind} got size {size}, which the system does not map: {error}.",
            "Ask for less, or raise the limit on address space (ulimit -v).",
        ) from error
