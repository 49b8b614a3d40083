"""The tables of a PDF document that say where its objects are: as text (ISO 32000-2, 7.5.4) or as a stream (7.5.8)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.compressed import ZLIB, Inflate, pieces
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

_TEXT = re.compile(rb"[\s\x00]*xref\b")
_STREAM = re.compile(rb"[\s\x00]*\d+\s+\d+\s+obj\b(?P<dictionary>.*?)\bstream\r?\n", re.DOTALL)
_SECTION = re.compile(rb"\s*(\d{1,10})\s+(\d{1,10})\b")
_ENTRY = re.compile(rb"\s*(\d{10})\s(\d{5})\s([nf])")
_TRAILER = re.compile(rb"\s*trailer\b")
_EARLIER = re.compile(rb"/Prev\s+(\d{1,15})\b")
_ARRAYS = re.compile(rb"/(W|Index)\s*+\[((?:\s*+\d{1,15}(?!\d))*+)\s*+\]")
_SIZE = re.compile(rb"/Size\s+(\d{1,10})\b")
_PREDICTOR = re.compile(rb"/Predictor\s+(\d{1,3})\b")
_LENGTH = re.compile(rb"/Length\s+(\d{1,15})\b(?!\s+\d+\s+R)")
_DEFLATED = re.compile(rb"/Filter\s*+(?:\[\s*+)?/FlateDecode\s*+(?:\]\s*+)?(?:/|>>|$)")
_SHORTEST_ENTRY, _LONGEST_ENTRY = 18, 40
_DICTIONARY = 16 << 10
"""Bytes within which a dictionary is expected to end."""
_WINDOW = 256 << 10

Object = tuple[int, int, int]
"""Number, generation, offset."""


def is_table(source: Source, place: int) -> bool:
    """Return whether a table of either form begins there."""
    head = source.read(place, _DICTIONARY)
    return bool(_TEXT.match(head) or _STREAM.match(head))


def listed(source: Source, place: int, earlier: list[int], tally: Tally) -> Iterator[Object]:
    """Yield the objects in use that a table lists, and append the place of the table before it to `earlier`.

    Raises:
        Damaged: There is no table, or it is cut off or corrupt.
        Unchecked: It is in a form that is not known here.
    """
    head = source.read(place, _DICTIONARY)
    if found := _TEXT.match(head):
        yield from _in_text(source, place + found.end(), earlier, tally)
    elif found := _STREAM.match(head):
        dictionary = found["dictionary"]
        _note_earlier(dictionary, earlier)
        yield from _in_stream(source, place + found.end(), dictionary, tally)
    else:
        raise Damaged(f"there is no table of objects at byte {place:,}, as a later one says")


def _note_earlier(dictionary: bytes, earlier: list[int]) -> None:
    if found := _EARLIER.search(dictionary):
        earlier.append(int(found[1]))


def _in_text(source: Source, place: int, earlier: list[int], tally: Tally) -> Iterator[Object]:
    while found := _SECTION.match(source.read(place, 64)):
        first, count = int(found[1]), int(found[2])
        place += found.end()
        if count * _SHORTEST_ENTRY > source.size:
            raise Damaged(f"its table of objects at byte {place:,} would be longer than the file")
        data, at = b"", 0
        for number in range(first, first + count):
            if len(data) - at < 2 * _LONGEST_ENTRY:
                place, at = place + at, 0
                data = source.read(place, _WINDOW)
            entry = _ENTRY.match(data, at)
            if not entry:
                raise Damaged(f"its table of objects is corrupt at byte {place + at:,}")
            at = entry.end()
            tally.member()
            # some programs count from 1 what begins with the entry for 0
            if number == first and first == 1 and entry[3] == b"f" and entry[2] == b"65535":
                first = 0
            if entry[3] == b"n" and int(entry[1]):
                yield number - (first == 0 and found[1] == b"1"), int(entry[2]), int(entry[1])
        place += at
    trailer = source.read(place, _DICTIONARY)
    if not _TRAILER.match(trailer):
        raise Damaged(f"its table of objects is not followed by a trailer at byte {place:,}")
    _note_earlier(trailer.partition(b"startxref")[0], earlier)


def _in_stream(source: Source, place: int, dictionary: bytes, tally: Tally) -> Iterator[Object]:
    numbers = {name: [int(one) for one in found.split()] for name, found in _ARRAYS.findall(dictionary)}
    size = _SIZE.search(dictionary)
    widths = numbers.get(b"W", [])
    if len(widths) != 3 or not size or not 0 < sum(widths) < 64 or max(widths) > 8:
        raise Damaged(f"its table of objects at byte {place:,} does not say what form it has")
    rows = _rows(_content(source, place, dictionary, tally), sum(widths), dictionary)
    index = numbers.get(b"Index") or [0, int(size[1])]
    for first, count in zip(index[::2], index[1::2], strict=False):
        for number in range(first, first + count):
            row = next(rows, None)
            if row is None:
                raise Damaged(f"its table of objects at byte {place:,} is cut off")
            tally.member()
            kind, offset, generation = _fields(row, widths)
            # as in a table of text, some programs write 0 for an object that is not there
            if kind == 1 and offset:
                yield number, generation, offset


def _fields(row: bytes, widths: list[int]) -> tuple[int, int, int]:
    first, second = widths[0], widths[0] + widths[1]
    kind = int.from_bytes(row[:first], "big") if first else 1
    return kind, int.from_bytes(row[first:second], "big"), int.from_bytes(row[second:], "big")


def _content(source: Source, place: int, dictionary: bytes, tally: Tally) -> Iterator[bytes]:
    """Yield the content of a stream, expanded; its end is where the rows are complete."""
    length = _LENGTH.search(dictionary)
    chunks = source.chunks(place, place + int(length[1]) if length else None)
    if b"/Filter" not in dictionary:
        yield from chunks
        return
    if not _DEFLATED.search(dictionary):
        raise Unchecked("its table of objects is compressed in a way that is not known here")
    inflate = Inflate(ZLIB)
    try:
        for chunk in chunks:
            for piece in pieces(inflate, chunk):
                tally.expand(len(piece))
                yield piece
            if inflate.eof:
                return
    except zlib.error as error:
        raise Damaged(f"its table of objects at byte {place:,}: {str(error).rpartition(': ')[2]}") from None


def _rows(content: Iterator[bytes], width: int, dictionary: bytes) -> Iterator[bytes]:
    """Yield the rows of a table, with the filters of PNG undone that save space in them."""
    predictor = _PREDICTOR.search(dictionary)
    filtered = bool(predictor and int(predictor[1]) >= 10)
    length = width + filtered
    above = bytes(width)
    kept = b""
    for piece in content:
        kept += piece
        whole = len(kept) - len(kept) % length
        for at in range(0, whole, length):
            row = kept[at : at + length]
            if filtered:
                row = above = _unfiltered(row[0], row[1:], above)
            yield row
        kept = kept[whole:]


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    if kind == 0:
        return row
    if kind == 2:
        return bytes((one + other) & 255 for one, other in zip(row, above, strict=True))
    if kind == 1:
        result = bytearray()
        for byte in row:
            result.append((byte + (result[-1] if result else 0)) & 255)
        return bytes(result)
    raise Unchecked("its table of objects is filtered in a way that is not known here")
