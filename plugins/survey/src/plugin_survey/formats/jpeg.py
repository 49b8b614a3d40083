"""JPEG images (ITU-T T.81, annex B): the chain of markers from the start of the image to its end.

JPEG has no checksums: a change within the compressed picture, where markers do not lie, cannot be seen.
"""

from __future__ import annotations

import re

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged
from plugin_survey.formats.source import Source

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length: TEM, and the restart markers."""

_IN_SCAN = re.compile(rb"\xff(?=[^\x00\xff\xd0-\xd7])", re.DOTALL)
"""What ends the compressed picture: a marker that is neither an escaped byte nor a restart."""


def check_jpeg(source: Source, tally: Tally) -> None:
    """Check a JPEG image: every segment is where the one before says, and the markers of frame, scan and end are there.

    What follows the end is not part of the image: previews, further pictures, a film.
    """
    if source.read(0, 3) != b"\xff\xd8\xff":
        raise Damaged("it does not begin with the start marker of JPEG")
    place, framed, scanned = 2, False, False
    while True:
        place, marker = _marker(source, place)
        if marker == _END:
            break
        tally.member()
        if marker in _ALONE:
            continue
        framed = framed or marker in _FRAMES
        place = _after_segment(source, place)
        if marker == _SCAN:
            if not framed:
                raise Damaged(f"the picture at byte {place:,} has no frame header before it")
            scanned = True
            place = _after_scan(source, place)
    if not scanned:
        raise Damaged("it has no picture between its start and its end")


def _marker(source: Source, place: int) -> tuple[int, int]:
    """Return the next marker and where it ends; any number of bytes 255 may come before it."""
    data = source.read(place, 2)
    if data[:1] not in (b"\xff", b""):
        raise Damaged(f"at byte {place:,} there is no marker, as the segment before says")
    for chunk in [data] if data[1:] not in (b"\xff", b"") else source.chunks(place):
        rest = chunk.lstrip(b"\xff")
        place += len(chunk) - len(rest)
        if rest and rest[0]:
            return place + 1, rest[0]
        if rest:
            raise Damaged(f"at byte {place:,} there is no marker, as the segment before says")
    raise Damaged(f"it is cut off: the marker that ends a JPEG image is missing at byte {place:,}")


def _after_segment(source: Source, place: int) -> int:
    data = source.read(place, 2)
    length = int.from_bytes(data, "big")
    if len(data) < 2 or place + length > source.size:
        raise Damaged(f"it is cut off within the segment at byte {place:,}")
    if length < 2:
        raise Damaged(f"the segment at byte {place:,} has an impossible length")
    return place + length


def _after_scan(source: Source, place: int) -> int:
    """Return where the marker is that ends a scan."""
    kept = b""
    for chunk in source.chunks(place):
        data = kept + chunk
        if found := _IN_SCAN.search(data):
            return place + found.start()
        # the last byte may be the first half of a marker
        kept = data[-1:]
        place += len(data) - 1
    raise Damaged("it is cut off: the marker that ends a JPEG image is missing")
