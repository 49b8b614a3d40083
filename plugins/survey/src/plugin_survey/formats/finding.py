"""`Finding`, what the check of one file found, and the two exceptions by which a check ends early."""

from __future__ import annotations

from typing import NamedTuple

OK = "ok"
"""Everything that its format lets one check is as it should be."""
DAMAGED = "damaged"
"""It is cut off, or its content contradicts itself; `problem` says where."""
UNCHECKED = "unchecked"
"""Nobody knows: there is no check for its type, or the check had to stop; `problem` says why."""

CUT_OFF = "it is cut off"
"""How problems begin of files that miss their end."""

VERDICTS = (OK, DAMAGED, UNCHECKED)


class Finding(NamedTuple):
    """The result of a check.

    Attributes:
        kind: The type that was checked for.
        verdict: One of `VERDICTS`.
        problem: What is wrong, or why the check stopped, for people and in printable characters; empty if all is well,
            and if there is no check for the type.
        members: Members (archives), chunks (PNG, WAV), segments (JPEG), objects (PDF), values (JSON), elements (XML),
            rows (CSV) or pages (SQLite) seen.
        expanded_bytes: Bytes that were decompressed, or 0 for what is not compressed.
    """

    kind: str
    verdict: str
    problem: str = ""
    members: int = 0
    expanded_bytes: int = 0


class Damaged(Exception):  # noqa: N818 - a verdict rather than an error; it never leaves the package
    """The content contradicts its format."""


class Unchecked(Exception):  # noqa: N818 - a verdict rather than an error; it never leaves the package
    """The check cannot go on, which says nothing about the content."""
