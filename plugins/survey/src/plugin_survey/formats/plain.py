"""Plain text and Markdown, as they are, and as much of them as is wanted."""

from __future__ import annotations

import re

from plugin_survey.formats.charset import decoded
from plugin_survey.formats.finding import CUT_OFF, Damaged, Unchecked
from plugin_survey.formats.gathered import Gathered
from plugin_survey.formats.source import CHUNK, Source

_TITLE_WITHIN = 16 << 10
"""Characters that are searched for a title."""

_HEADING = re.compile(r"^(?:#[ \t]++(?P<marked>[^\n]++)|(?P<underlined>[ \t]*+\S[^\n]*+)\n=++[ \t\r]*+)$", re.MULTILINE)
_FRONT = re.compile(r"---[ \t]*\r?\n(?P<front>(?:(?!---)[^\n]*\n)*)---")
_FRONT_TITLE = re.compile(r"^title:(?P<title>[^\n]*)$", re.MULTILINE)


def beginning(source: Source, gathered: Gathered, most: int | None = None) -> str:
    """Return as much of a text file as is wanted, and note what encoding was assumed."""
    data = source.read(0, most or gathered.bounds.text_bytes)
    whole = len(data) >= source.size
    gathered.truncated = not whole
    text, gathered.note = decoded(data, whole=whole)
    return text


def read_text(source: Source, gathered: Gathered) -> None:
    """Read a plain text; it has no title."""
    gathered.add(beginning(source, gathered))


def read_markdown(source: Source, gathered: Gathered) -> None:
    """Read a Markdown text as it is; its title is that of the front matter, or else the first heading."""
    text = beginning(source, gathered)
    gathered.title = _title(text[:_TITLE_WITHIN])
    gathered.add(text)


def _title(text: str) -> str:
    front = _FRONT.match(text)
    if front and (found := _FRONT_TITLE.search(front["front"])):
        return found["title"].strip().strip("\"'")
    if found := _HEADING.search(text, front.end() if front else 0):
        return (found["marked"] or found["underlined"] or "").strip().rstrip("#")
    return ""


_MARKERS = re.compile(rb"\{\{|\{%|<%")


def doubted(source: Source, damage: Damaged) -> Damaged | Unchecked:
    """Return what to raise for some damage: a template may break the rules of what is made from it, but not its end."""
    if not str(damage).startswith(CUT_OFF) and _MARKERS.search(source.read(0, CHUNK)):
        return Unchecked(f"{damage}; it may be a template")
    return damage
