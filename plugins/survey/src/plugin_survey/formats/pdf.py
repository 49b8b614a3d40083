"""PDF documents (ISO 32000-2, 7.5): the header, the end, and whether every object is where the tables say.

The content of the objects is not looked at. Readers repair much; what is damaged here is what they have to repair.
"""

from __future__ import annotations

import re

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged
from plugin_survey.formats.pdf_tables import is_table, listed
from plugin_survey.formats.source import Source

_FRONT = 1024
"""Bytes within which readers accept the header."""
_TAIL = 4096
_START = re.compile(rb"startxref\s*(\d{1,15})\s*%%EOF")
_OBJECT = re.compile(rb"[\s\x00]*(\d{1,10})\s+(\d{1,5})\s+obj\b")
_MOST_TABLES = 10_000


def check_pdf(source: Source, tally: Tally) -> None:
    """Check a PDF document: header and end, and the place of each object by every cross-reference table or stream."""
    base = source.read(0, _FRONT).find(b"%PDF-")
    if base < 0:
        raise Damaged("it does not begin with the header of a PDF document")
    place = _last_table(source)
    shifts = (0,) if base == 0 else (base, 0)
    shift = next((one for one in shifts if is_table(source, place + one)), None)
    if shift is None:
        raise Damaged(f"its table of objects is not at byte {place:,}, as its end says")
    _check_tables(source, place, shift, tally)


def _last_table(source: Source) -> int:
    start = max(0, source.size - _TAIL)
    tail = source.read(start, _TAIL)
    end = tail.rfind(b"%%EOF")
    if end < 0:
        raise Damaged("it is cut off: the mark %%EOF that ends a PDF document is missing")
    if re.search(rb"\d\s+obj\b|\bxref\b", tail[end:]):
        raise Damaged("it is cut off: objects follow after its last mark %%EOF")
    found = list(_START.finditer(tail[: end + 5]))
    if not found or found[-1].end() != end + 5:
        raise Damaged("its end does not say where its table of objects is")
    return int(found[-1][1])


def _check_tables(source: Source, place: int, shift: int, tally: Tally) -> None:
    """Follow the tables from the last to the first, and look at each object they name."""
    seen: set[int] = set()
    due: list[int] = [place]
    while due and len(seen) < _MOST_TABLES:
        place = due.pop()
        if place in seen:
            continue
        seen.add(place)
        for number, generation, offset in listed(source, place + shift, due, tally):
            found = _OBJECT.match(source.read(offset + shift, 48))
            if not found or (int(found[1]), int(found[2])) != (number, generation):
                raise Damaged(f"its object {number} {generation} is not at byte {offset + shift:,}, as its table says")
