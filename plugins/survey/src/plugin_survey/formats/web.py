"""HTML (WHATWG HTML, 13.2): the text that a browser would show, and the title.

Read by regular expressions rather than `html.parser`, which takes time that grows with the square of some malformed
inputs; here every expression gives up at the next tag, so that time grows with the text and no faster. For a full-text
index the tree of the document does not matter.
"""

from __future__ import annotations

import html
import re

from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.plain import beginning, decoded
from plugin_survey.formats.source import Source

_INLINE = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small|span|strike|strong"
    "|sub|sup|time|tt|u|var|wbr",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"<!--(?:[^-]++|-(?!->))*+(?:-->)?"
    r"|<(?P<hidden>script|style|template)\b(?:[^<]++|<(?!/(?P=hidden)\b))*+(?:</(?P=hidden)\b[^<>]*+>?)?"
    r"|<title\b[^<>]*+>(?P<title>[^<]*+)"
    r"|<[/!?]?+(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)(?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+>?"
    r"|<[/!?][^<>]*+>?",
    re.IGNORECASE,
)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES = re.compile(r" ?\n[ \n]*")


def read_html(source: Source, gathered: Gathered) -> None:
    """Read a page: its title, and its text without scripts, styles and comments."""
    most = 8 * gathered.bounds.text_bytes
    told = _CHARSET.search(source.read(0, 1024))
    markup = beginning(source, gathered, most)
    if told and gathered.note:
        markup = _as_told(source.read(0, most), told[1].decode("ascii", "ignore"), markup, gathered)
    title, text = shown(markup)
    gathered.title = title
    gathered.add(text)


def _as_told(data: bytes, encoding: str, guess: str, gathered: Gathered) -> str:
    try:
        text = data.decode(encoding, "replace")
    except (LookupError, ValueError):
        return guess
    gathered.note = ""
    return text


def shown(markup: str) -> tuple[str, str]:
    """Return title and text of a page."""
    title = ""

    def replace(found: re.Match[str]) -> str:
        nonlocal title
        if found["title"] is not None:
            title = title or found["title"]
            return "\n"
        return "" if found["name"] and _INLINE.fullmatch(found["name"]) else "\n"

    text = html.unescape(_MARKUP.sub(replace, markup))
    return html.unescape(title), _LINES.sub("\n", _BLANKS.sub(" ", text)).strip()


def shown_in(data: bytes) -> tuple[str, str]:
    """Return title and text of a page given as bytes."""
    return shown(decoded(data, whole=True)[0])
