"""JPEG images (ITU-T T.81, annex B): the chain of markers from the start of the image to its end.

JPEG has no checksums: a change within the compressed picture, where markers do not lie, cannot be seen.
"""

from __future__ import annotations

import re

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length: TEM, and the restart markers."""

_WITHOUT_LOSSES = 0xF7
_PIECE = 16 << 10
"""Bytes of a scan that are read at once: there may be very many scans, all of them short."""
_MARKER = re.compile(rb"(?<!\xff)\xff++[^\x00\xff]", re.DOTALL)
_IN_SCAN = re.compile(rb"\xff(?=[^\x00\xff\xd0-\xd7])", re.DOTALL)
"""What ends the compressed picture: a marker that is neither an escaped byte nor a restart."""


def check_jpeg(source: Source, tally: Tally) -> None:
    """Check a JPEG image: every segment is where the one before says, and the markers of frame, scan and end are there.

    What follows the end is not part of the image: previews, further pictures, a film. Bytes between two segments are
    against the rules, but readers pass over them, so they leave an image that is whole otherwise unchecked.
    """
    if source.read(0, 3) != b"\xff\xd8\xff":
        raise Damaged("it does not begin with the start marker of JPEG")
    place, framed, scanned, stray = 2, False, False, 0
    while True:
        begun = place
        place, marker, found = _marker(source, place)
        stray = stray or (begun if found else 0)
        if marker == _END:
            break
        if marker == _WITHOUT_LOSSES:
            raise Unchecked("it is in the form JPEG-LS, which cannot be checked")
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
    if stray:
        raise Unchecked(f"at byte {stray:,} there is no marker, as the segment before says; readers pass over it")


def _marker(source: Source, place: int) -> tuple[int, int, bool]:
    """Return where the next marker ends, its code, and whether more than bytes 255, which are allowed, is before it."""
    data = source.read(place, 2)
    if len(data) == 2 and data[0] == 0xFF and 0 < data[1] < 0xFF:
        return place + 2, data[1], False
    kept, stray = b"", False
    for chunk in source.chunks(place):
        data = kept + chunk
        if found := _MARKER.search(data):
            return place + found.end(), found[0][-1], stray or bool(found.start())
        kept = b"\xff" if data[-1] == 0xFF else b""
        stray = stray or bool(data.strip(b"\xff"))
        place += len(data) - len(kept)
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
    for chunk in source.chunks(place, size=_PIECE):
        data = kept + chunk
        if found := _IN_SCAN.search(data):
            return place + found.start()
        # the last byte may be the first half of a marker
        kept = data[-1:]
        place += len(data) - 1
    raise Damaged("it is cut off: the marker that ends a JPEG image is missing")
