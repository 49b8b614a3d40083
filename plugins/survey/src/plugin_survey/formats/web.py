"""HTML (WHATWG HTML, 13.2): the text that a browser would show, and the title.

Read by regular expressions rather than `html.parser`, which takes time that grows with the square of some malformed
inputs; here every expression gives up at the next tag, so that time grows with the text and no faster. For a full-text
index the tree of the document does not matter.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from plugin_survey.formats.charset import codec_of, decoded
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.plain import beginning
from plugin_survey.formats.source import Source

_INLINE = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small|span|strike|strong"
    "|sub|sup|time|tt|u|var|wbr",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"(?P<comment><!--)(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>)?)"
    r"|<(?:script|style|template|title)\b[^<>]*+(?<=/)>"
    r"|<(?P<hidden>script|style|template)\b(?:[^<]++|<(?!/(?P=hidden)\b))*+(?:</(?P=hidden)\b[^<>]*+>?)?"
    r"|<title\b[^<>]*+>(?P<title>[^<]*+)"
    r"|<[/!?]?+(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+'|[\"'])*+>?"
    r"|<[/!?][^<>]*+>?",
    re.IGNORECASE,
)
_PIECES = 2000
_PORTION = 64 << 10
"""Characters."""
_CHARSET = re.compile(
    rb"(?:<meta[^>]{0,200}?charset|^\s*<\?xml[^>]{0,100}?encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE
)
_ESCAPE = "\x1b"
"""What ISO-2022 encodings of East Asia have in them, whose bytes are all ASCII, and no other text."""
_BLANKS = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES = re.compile(r" ?\n[ \n]*")


def read_html(source: Source, gathered: Gathered) -> None:
    """Read a page: its title, and its text without scripts, styles and comments."""
    most = 4 * gathered.bounds.text_bytes
    told = _CHARSET.search(source.read(0, 1024))
    markup = beginning(source, gathered, most)
    if told and (gathered.note or _ESCAPE in markup):
        markup = _as_told(source.read(0, most), told[1].decode("ascii", "ignore"), markup, gathered)
    add_page(markup, gathered)


def _as_told(data: bytes, encoding: str, guess: str, gathered: Gathered) -> str:
    codec = codec_of(encoding)
    # a page that says so in ASCII cannot be UTF-16, nor is it UTF-8 if the guess was not
    if not codec or codec.startswith("utf"):
        return guess
    gathered.note = ""
    return data.decode(codec, "replace")


def add_page(markup: str, gathered: Gathered) -> None:
    """Gather the text of a page, and its title if there is none yet."""
    for piece in _portions(markup, gathered):
        gathered.add(_LINES.sub("\n", _BLANKS.sub(" ", html.unescape(piece))))


def _portions(markup: str, gathered: Gathered) -> Iterator[str]:
    """Yield the text between tags in portions of some size, because each small string takes much memory."""
    pieces: list[str] = []
    last = 0
    for found in _MARKUP.finditer(markup):
        joined = found["comment"] or (found["name"] and _INLINE.fullmatch(found["name"]))
        pieces += (markup[last : found.start()], "" if joined else "\n")
        last = found.end()
        if found["title"] and not gathered.title:
            gathered.title = html.unescape(found["title"])
        if len(pieces) > _PIECES:
            yield "".join(pieces)
            pieces.clear()
    yield "".join(pieces)
    for at in range(last, len(markup), _PORTION):
        yield markup[at : at + _PORTION]


def decoded_page(data: bytes) -> str:
    """Return a page given as bytes; in books, where UTF-8 is the rule."""
    return decoded(data, whole=False)[0]
