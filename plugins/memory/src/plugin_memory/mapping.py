"""`MappedMemory`: what shared memory and buffers have in common, memory seen through one memoryview."""

from __future__ import annotations

import abc
import mmap

from framework import Resource, get_logger
from framework.errors import LeaseStateError


class MappedMemory(Resource):
    """Memory to be read and written through `buffer`.

    Args:
        memory: The memory, which belongs to the resource from now on.
    """

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        self._memory: mmap.mmap | bytearray | None = memory
        self._view: memoryview | None = memoryview(memory)
        self._size = len(memory)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._size

    @property
    def buffer(self) -> memoryview:
        """The memory itself, writable. Slices of it should be dropped before the release.

        Raises:
            LeaseStateError: It was released.
        """
        if self._view is None:
            raise LeaseStateError(
                f"{self.kind} {self.name!r} was released, so there is no memory to see.",
                "Use the buffer before release(), inside the `async with`.",
                resource=self.name,
            )
        return self._view

    @abc.abstractmethod
    def _give_up(self) -> None:
        """Give back what lies outside this process; called first, so that it happens whoever still looks on."""

    def _close(self) -> None:
        self._give_up()
        memory, view = self._memory, self._view
        self._memory = self._view = None
        if memory is None or view is None:
            return
        try:
            view.release()
            if isinstance(memory, mmap.mmap):
                memory.close()
        except BufferError:
            # Slices the user made keep the mapping, which goes, with its descriptor, when the last of them does.
            get_logger().warning(
                "memory_view_outlives_lease", kind=self.kind, resource=self.name, owner=self.owner, size=self._size
            )
