"""JSON (RFC 8259): grammar and encoding, in memory that does not grow with the file.

A small file goes through `json`, which is fast. What that refuses, and what is large, is read here with the leniency
that files of this name need in practice: several values in a row (JSON Lines), comments and a comma before a closing
bracket (JSON with comments, as editors write their settings), `NaN` and `Infinity`, a byte order mark.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import CUT_OFF, Damaged, Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.plain import beginning, doubted
from plugin_survey.formats.source import Source

_SMALL = 1 << 20
"""Largest size that is read at once: as Python objects it may take 22 times as much."""

_LONGEST_SCALAR = 4096
"""Characters of anything but a string."""

# possessive throughout: what matched once is never tried again, so that time grows with the text and no faster
_BLANK = r"(?:[ \t\r\n]++|//[^\n]*+(?=\n)|/\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/)*+"
_STRING = r'"[^"\\\x00-\x08\x0a-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x08\x0a-\x1f]*+)*+"'
_NUMBER = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+"
_SCALAR = rf"(?:{_STRING}|(?:{_NUMBER}|true|false|null|NaN|-?+Infinity)(?=[\s,\]}}/]))"

_SPACE = re.compile(_BLANK)
_ITEMS = re.compile(rf"(?:{_BLANK}{_SCALAR}{_BLANK},)*+")
_PAIRS = re.compile(rf"(?:{_BLANK}{_STRING}{_BLANK}:{_BLANK}{_SCALAR}{_BLANK},)*+")
_OPEN_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?!")')
_KEY = re.compile(rf"{_STRING}{_BLANK}:")
_VALUE = re.compile(_SCALAR)

_CLOSERS = {"[": "]", "{": "}"}


def check_json(source: Source, tally: Tally) -> None:
    """Check a JSON file: that it is complete, and has no byte that JSON does not allow."""
    if source.size <= _SMALL:
        try:
            json.loads(source.read(0, source.size))
        except (ValueError, RecursionError, MemoryError):
            pass  # the reader below is more lenient, takes less memory, and says what is wrong
        else:
            tally.members = 1
            return
    try:
        _Reader(source, tally).run()
    except Damaged as error:
        raise doubted(source, error) from None


class _Reader:
    """Reads the text through a window that holds at least the current token."""

    def __init__(self, source: Source, tally: Tally) -> None:
        self._tally = tally
        self._chunks = source.chunks()
        wide = source.read(0, 2) in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
        self._decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")()
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._open: list[str] = []

    def run(self) -> None:
        """Read one value after another to the end.

        Raises:
            Damaged: The text is not JSON, or not to its end.
            Unchecked: It is nested too deeply, or one token is too long.
        """
        while self._next():
            self._tally.members += 1
            self._value()
            while self._open:
                self._step()
        if not self._tally.members:
            raise Damaged("it has no value")

    def _step(self) -> None:
        """Read on in the innermost list or object, as far as its scalars or its end."""
        kind = self._open[-1]
        self._at = (_ITEMS if kind == "[" else _PAIRS).match(self._text, self._at).end()  # type: ignore[union-attr] # they match nothing, too
        if self._next() == _CLOSERS[kind]:
            self._at += 1
            self._open.pop()
            self._comma()
        else:
            if kind == "{":
                self._token(_KEY)
            self._value()

    def _value(self) -> None:
        char = self._next()
        if char in _CLOSERS:
            self._at += 1
            self._open.append(char)
            if len(self._open) > self._tally.bounds.depth:
                raise Unchecked(f"it is nested deeper than {self._tally.bounds.depth:,} levels")
        else:
            self._token(_VALUE)
            self._comma()

    def _comma(self) -> None:
        """Pass the comma after a value; what closes the list or object is left to `_step`."""
        if self._open and (char := self._next()) != _CLOSERS[self._open[-1]]:
            if char != ",":
                raise self._damage()
            self._at += 1

    def _next(self) -> str:
        """Return the next character that is neither blank nor part of a comment; nothing at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr] # it matches nothing, too
            char = self._text[self._at : self._at + 1]
            # a slash is the beginning of a comment that is not all there yet
            if (char and char != "/") or not self._more():
                return char

    def _token(self, pattern: re.Pattern[str]) -> None:
        while not (found := pattern.match(self._text, self._at)):
            # only a string can be longer than what the window holds, and be all right
            short = self._text[self._at : self._at + 1] != '"'
            if (short and len(self._text) - self._at > _LONGEST_SCALAR) or not self._more():
                raise self._damage()
        self._at = found.end()

    def _more(self) -> bool:
        """Move the window on, and return whether there was more to read."""
        if self._ended:
            return False
        self._line += self._text.count("\n", 0, self._at)
        kept = self._text[self._at :]
        if len(kept) > self._tally.bounds.piece_bytes:
            raise Unchecked(
                f"line {self._line:,}: one value is longer than {self._tally.bounds.piece_bytes:,} characters"
            )
        data = next(self._chunks, b"")
        self._ended = not data
        try:
            # the line end that a last number or comment needs
            self._text = kept + self._decoder.decode(data, self._ended) + ("\n" if self._ended else "")
        except UnicodeDecodeError as error:
            raise Damaged(f"after line {self._line:,}: it has bytes that are not UTF-8 ({error.reason})") from None
        self._at = 0
        return True

    def _damage(self) -> Damaged:
        rest = self._text[self._at : self._at + 20].strip()
        if not rest or (self._ended and _OPEN_STRING.match(self._text, self._at)):
            return Damaged(f"{CUT_OFF}: {len(self._open)} brackets are open at its end")
        line = self._line + self._text.count("\n", 0, self._at)
        return Damaged(f"line {line:,}: {rest!a} is not JSON, or cut off")


_ANY_STRING = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?')
"""One that is not closed is one as well: to try again from each quote in it would take the square of the time."""
_PORTION = 1000
"""Strings that are gathered at once."""


def read_json(source: Source, gathered: Gathered) -> None:
    """Read the keys and strings of a JSON file, one a line; numbers are left out, and it has no title."""
    found = strings(beginning(source, gathered))
    while portion := list(itertools.islice(found, _PORTION)):
        gathered.add("\n".join(portion) + "\n")


def strings(text: str) -> Iterator[str]:
    """Yield every string in some JSON, unescaped where it can be."""
    for found in _ANY_STRING.finditer(text):
        if "\\" not in found[0]:
            yield found[0].strip('"')
            continue
        try:
            yield json.loads(found[0], strict=False)
        except ValueError:
            yield found[0].strip('"')
