"""`Slots`: how many children this plugin may hold at once."""

from __future__ import annotations

from framework.errors import ResourceLimitError


class Slots:
    """Counts what is held against a limit. Everything happens on the event loop, so nothing is locked."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self, subject: str) -> None:
        """Take one slot.

        Raises:
            ResourceLimitError: All are taken.
        """
        if self.taken >= self.limit:
            raise ResourceLimitError(
                f"{subject} was refused: {self.taken} children are held, process.max_processes allows {self.limit}.",
                "Release one, or raise the setting.",
            )
        self.taken += 1

    def give_back(self) -> None:
        """Give back one slot that was taken."""
        self.taken -= 1
