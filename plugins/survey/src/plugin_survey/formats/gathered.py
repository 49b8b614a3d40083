"""`Text`, what was extracted from a file, and `Gathered`, which collects it up to a limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from plugin_survey.formats.bounds import Bounds

_EFFORT = 32
"""Bytes that are read at most for each byte of text that is wanted; beyond that, little text is to be expected."""
_LONGEST_TITLE = 200
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Text(NamedTuple):
    """What was extracted from a file: valid Unicode without control characters other than tabs and line ends.

    Attributes:
        title: What the file calls itself, in one line; empty if it does not.
        text: The text, cut to `Bounds.text_bytes`.
        truncated: Whether there is more.
        note: What a reader should know: an encoding that was guessed, or what could not be read.
    """

    title: str
    text: str
    truncated: bool = False
    note: str = ""


class Enough(Exception):  # noqa: N818 - no error: all that is wanted is there
    """Ends the reading; it never leaves the package."""


class Gathered:
    """The pieces of text found so far, with the title and a note; `finish` makes the `Text` of them."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.title = ""
        self.note = ""
        self.truncated = False
        self._pieces: list[str] = []
        self._room = bounds.text_bytes
        self._effort = bounds.text_bytes * _EFFORT

    def add(self, piece: str) -> None:
        """Take one more piece, as it is.

        Raises:
            Enough: There is as much as is wanted.
        """
        self._pieces.append(piece)
        self._room -= len(piece)
        if self._room < 0:
            raise Enough

    def paced(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass chunks on, as long as so much reading is worth it.

        Raises:
            Enough: Too much was read.
        """
        for chunk in chunks:
            self._effort -= len(chunk)
            if self._effort < 0:
                raise Enough
            yield chunk

    def finish(self) -> Text:
        """Return what there is, made valid and cut to size."""
        text = _valid("".join(self._pieces))
        if len(text) * 4 > self.bounds.text_bytes and len(data := text.encode()) > self.bounds.text_bytes:
            text, self.truncated = data[: self.bounds.text_bytes].decode("utf-8", "ignore"), True
        title = " ".join(_valid(self.title[: 4 * _LONGEST_TITLE]).split())
        return Text(title[:_LONGEST_TITLE], text, self.truncated, self.note)


def _valid(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _CONTROL.sub(" ", text)
