"""Plain text: which encoding it has, and as much of it as is wanted. `Text`, what every extraction returns."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from plugin_survey.formats.bounds import Bounds
from plugin_survey.formats.source import Source

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = {number: " " for number in range(32) if chr(number) not in "\t\n\r"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_TITLE_LENGTH = 200


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


def finish(title: str, text: str, bounds: Bounds, *, truncated: bool = False, note: str = "") -> Text:
    """Return the text made valid and cut to size."""
    if _CONTROL.search(text):
        text = text.translate(_CONTROLS).encode("utf-8", "replace").decode()
    if len(text) * 4 > bounds.text_bytes and len(data := text.encode()) > bounds.text_bytes:
        text, truncated = data[: bounds.text_bytes].decode("utf-8", "ignore"), True
    title = " ".join(title.translate(_CONTROLS).encode("utf-8", "replace").decode().split())
    return Text(title[:_TITLE_LENGTH], text, truncated, note)


def decoded(data: bytes, *, whole: bool) -> tuple[str, str]:
    """Return the text that some bytes stand for, and a note if its encoding was a guess.

    Args:
        data: The bytes, from the beginning of the text.
        whole: Whether that is all; otherwise the last character may be incomplete.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, whole), ""
    except UnicodeDecodeError:
        if encoding != "utf-8":
            return codecs.getincrementaldecoder(encoding)("replace").decode(data, whole), f"it is not valid {encoding}"
    try:
        return data.decode("cp1252"), "its encoding is not told and not UTF-8; it was read as Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "its encoding is not told and not UTF-8; it was read as ISO 8859-1"


def beginning(source: Source, bounds: Bounds) -> tuple[str, bool, str]:
    """Return as much of a text file as is wanted, whether there is more, and a note on its encoding."""
    data = source.read(0, bounds.text_bytes)
    whole = len(data) >= source.size
    text, note = decoded(data, whole=whole)
    return text, not whole, note


def read_text(source: Source, bounds: Bounds) -> Text:
    """Return the text of a plain text file; it has no title."""
    text, truncated, note = beginning(source, bounds)
    return finish("", text, bounds, truncated=truncated, note=note)


_HEADING = re.compile(r"^(?:#[ \t]+(?P<heading>[^\n]*?)[ \t#]*|(?P<line>[^\n]*\S[^\n]*)\n=+[ \t]*)$", re.MULTILINE)
_FRONT = re.compile(r"\A---[ \t]*\n(?P<front>(?:(?!---)[^\n]*\n)*+)---")
_FRONT_TITLE = re.compile(r"""^title:[ \t]*["']?(?P<title>[^\n]*?)["']?[ \t]*$""", re.MULTILINE)


def read_markdown(source: Source, bounds: Bounds) -> Text:
    """Return the text of a Markdown file as it is; its title is that of the front matter, or the first heading."""
    text, truncated, note = beginning(source, bounds)
    title = ""
    start = 0
    if front := _FRONT.search(text[:_FRONT_SIZE]):
        found = _FRONT_TITLE.search(front["front"])
        title = found["title"] if found else ""
        start = front.end()
    if not title and (found := _HEADING.search(text, start, start + _FRONT_SIZE)):
        title = found["heading"] or found["line"] or ""
    return finish(title, text, bounds, truncated=truncated, note=note)


_FRONT_SIZE = 16 << 10
"""Characters that are searched for a title."""
