"""`Batch`: items to be worked on together, and what a size was chosen for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How many items a batch may have, and why. Sizes in bytes."""

    size: int
    reason: str
    """What kept it from being more."""
    name: str
    """The sort of work."""
    bytes_per_item: float
    """What an item takes, as far as measured; 0 where nothing was yet."""
    room: int
    """What a batch may take: half of the headroom, or the budget if that is less."""
    measured: int
    """Batches that the bytes of an item are taken from."""

    def __int__(self) -> int:
        return self.size


class Batch(list[T], Generic[T]):
    """A list of items. Entered with `with`, its work may run out of memory: it then comes again in halves.

    Without `with`, what it takes is measured until the next batch is asked for, and a MemoryError is the caller's.
    """

    def __init__(self, items: list[T], settle: Callable[[Batch[T], bool], bool]) -> None:
        super().__init__(items)
        self._settle = settle
        self.done = False
        """Whether the work on it ended without running out of memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if kind is None:
            self.done = True
            self._settle(self, True)  # noqa: FBT003 - whether it went well
            return False
        if not issubclass(kind, MemoryError):
            return False
        retried = self._settle(self, False)  # noqa: FBT003
        if not retried and error is not None:
            error.add_note(f"A batch of {len(self)}, the least that was allowed, does not fit into memory.")
        return retried
