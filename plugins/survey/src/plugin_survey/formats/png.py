"""PNG images (PNG Specification, third edition): the CRC-32 of every chunk, and the picture's own zlib stream.

The picture is expanded but not kept; what follows the last chunk is not part of the image and is ignored.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.compressed import ZLIB, Inflate, pieces
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HEADER = struct.Struct(">2I5B")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by type of colour."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, columns between, rows between."""


def check_png(source: Source, tally: Tally) -> None:
    """Check a PNG image: the order and checksums of its chunks, and that its picture is whole."""
    if source.read(0, 8) != SIGNATURE:
        raise Damaged("it does not begin with the signature of PNG")
    picture = _Picture(tally)
    place = 8
    kind = b""
    while kind != b"IEND":
        length, kind = _chunk_header(source, place)
        crc = zlib.crc32(kind)
        for data in source.chunks(place + 8, place + 8 + length):
            crc = zlib.crc32(data, crc)
            picture.take(kind, data)
        if source.read(place + 8 + length, 4) != crc.to_bytes(4, "big"):
            raise Damaged(f"its chunk {_name(kind)} at byte {place:,} has another checksum than it says, or is cut off")
        tally.member()
        place += length + 12
    picture.finish()


def _chunk_header(source: Source, place: int) -> tuple[int, bytes]:
    data = source.read(place, 8)
    if len(data) < 8:
        raise Damaged(f"it is cut off: the chunk IEND that ends a PNG image is missing at byte {place:,}")
    return int.from_bytes(data[:4], "big"), data[4:]


def _name(kind: bytes) -> str:
    return ascii(kind.decode("latin-1"))[1:-1]


class _Picture:
    """Expands the picture as its parts arrive, and compares its size with the header."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._inflate: Inflate | None = None
        self._expected = self._length = 0
        self._apple = False

    def take(self, kind: bytes, data: bytes) -> None:
        """Take the next part of a chunk."""
        if kind == b"IDAT":
            if self._inflate is None:
                raise Damaged("its header is missing")
            if not self._inflate.eof and not self._apple:
                self._expand(self._inflate, data)
        elif kind == b"IHDR":
            self._expected = _expected_bytes(data)
            self._inflate = Inflate(ZLIB)
        elif kind == b"CgBI":
            self._apple = True

    def _expand(self, inflate: Inflate, data: bytes) -> None:
        try:
            for piece in pieces(inflate, data):
                self._length += len(piece)
                self._tally.expand(len(piece))
        except zlib.error as error:
            raise Damaged(f"its picture: {str(error).rpartition(': ')[2]}") from None

    def finish(self) -> None:
        """Compare what was expanded with what the header promises."""
        if self._apple:
            raise Unchecked("it is in the form that Apple's devices use, whose picture cannot be checked")
        if self._inflate is None or not self._inflate.eof:
            raise Damaged("its picture is cut off")
        if self._length < self._expected:
            raise Damaged(f"its picture has {self._length:,} bytes instead of {self._expected:,}")


def _expected_bytes(header: bytes) -> int:
    """Return how many bytes the picture has once expanded: each row has one more, for its filter."""
    if len(header) != _HEADER.size:
        raise Damaged("its header has the wrong length")
    width, height, bits, colour, _, _, interlaced = _HEADER.unpack(header)
    if colour not in _SAMPLES or not width or not height:
        raise Damaged("its header is not valid")
    row_bits = bits * _SAMPLES[colour]
    return sum(
        rows * (1 + (columns * row_bits + 7) // 8)
        for columns, rows in (_pass_sizes(width, height) if interlaced else [(width, height)])
        if columns
    )


def _pass_sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    for column, row, columns, rows in _PASSES:
        yield (width - column + columns - 1) // columns, (height - row + rows - 1) // rows
