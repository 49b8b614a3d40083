"""`Bounds`, what the inspection of one file may cost, and `Tally`, which keeps to it while a file expands."""

from __future__ import annotations

from dataclasses import dataclass

from plugin_survey.formats.finding import Unchecked


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits for one file. What exceeds them is left unchecked, or its text cut, and said so.

    Attributes:
        expanded_bytes: Bytes to which a file may expand whatever its own size.
        ratio: Expanded bytes per byte of the file beyond that; so a file that expands far more than real ones do stops
            early, and a large ordinary one is checked to its end.
        members: Members of an archive, or objects of a document.
        depth: Levels of nesting in JSON and XML.
        text_bytes: UTF-8 bytes of text that are extracted.
        piece_bytes: The longest single piece (line, token, tag, mail, notebook) that is held in memory.
        seconds: What SQLite's own check may take; all others take time that grows with the size of the file.
    """

    expanded_bytes: int = 256 << 20
    ratio: int = 100
    members: int = 250_000
    depth: int = 1000
    text_bytes: int = 1 << 20
    piece_bytes: int = 4 << 20
    seconds: float = 25.0


class Tally:
    """Counts members and expanded bytes of one file, and stops the check where they exceed the bounds."""

    def __init__(self, bounds: Bounds, size: int) -> None:
        """Count against `bounds` for a file of `size` bytes."""
        self.bounds = bounds
        self.members = 0
        self.expanded_bytes = 0
        self._most = max(bounds.expanded_bytes, bounds.ratio * size)

    def member(self) -> None:
        """Count one more member.

        Raises:
            Unchecked: There are more than the bounds allow.
        """
        self.members += 1
        if self.members > self.bounds.members:
            raise Unchecked(f"it has more than {self.bounds.members:,} members")

    def expand(self, count: int) -> None:
        """Count `count` more expanded bytes.

        Raises:
            Unchecked: There are more than the bounds allow.
        """
        self.expanded_bytes += count
        self.foresee(self.expanded_bytes)

    def foresee(self, total: int) -> None:
        """Refuse a file that says, before anything is expanded, that it expands to `total` bytes.

        Raises:
            Unchecked: That is more than the bounds allow.
        """
        if total > self._most:
            raise Unchecked(
                f"it expands to {total:,} bytes or more, of which {self._most:,} are allowed: "
                f"{self.bounds.ratio} times its size, as compression bombs exceed"
            )
