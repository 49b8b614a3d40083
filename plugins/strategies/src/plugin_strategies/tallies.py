"""`Tallies`: how often each of a few things is counted."""

from __future__ import annotations


class Tallies(dict[str, int]):
    """Counts above zero, by name."""

    __slots__ = ()

    def add(self, name: str, change: int) -> None:
        """Change a count; one that is zero is forgotten."""
        count = self.get(name, 0) + change
        if count > 0:
            self[name] = count
        else:
            self.pop(name, None)
