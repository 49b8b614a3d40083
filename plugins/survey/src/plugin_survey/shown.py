"""Names and figures as people read them: one line, nothing hidden, the largest unit that fits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby

MINUTE = 60
HOUR = 3600


def shown(path: bytes) -> str:
    """Return a path for a terminal: one line, nothing in it that a terminal would obey."""
    return "".join(text for text, _ in pieces(path.decode(errors="surrogateescape")))


def named(path: str) -> str:
    """Return a path of the command line for a terminal, as `shown` does."""
    return shown(os.fsencode(path))


def visible(text: str) -> str:
    """Return a text in which whatever cannot be seen, or is half a character, is written as an escape."""
    return text if text.isprintable() else "".join(piece for piece, _ in pieces(text))


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    r"""Split a text into what can be shown as it is and what cannot, which is written as an escape (True).

    Control characters, invisible ones and those that turn the direction of writing become `\n`, `\x1b`, `\u202e`;
    bytes that are not UTF-8, which Python holds as half characters (PEP 383), become `\xff`.
    """
    for printable, characters in groupby(text, key=str.isprintable):
        run = "".join(characters)
        yield run if printable else "".join(map(_escaped, run)), not printable


def human(count: float) -> str:
    """Return a number of bytes in the largest unit of 1024 that leaves it at least 1."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def lasting(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < MINUTE:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"


def dated(seconds: float) -> str:
    """Return a moment, in seconds since the epoch, as a date and a time in UTC; files may have any time."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s"


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
