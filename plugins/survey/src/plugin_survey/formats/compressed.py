"""GZIP (RFC 1952), bzip2 and xz: the whole stream is expanded, piece by piece, and its checksums compared.

The decompressors of the standard library compare the checksums themselves; here is what becomes of it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

PIECE = 1 << 20
"""Most bytes that are expanded at once."""
GZIP = 31
"""zlib's parameter for a stream with a header and a checksum of GZIP."""
RAW = -15
"""zlib's parameter for a stream with neither, as in a ZIP archive."""
ZLIB = 15
"""zlib's parameter for its own header and checksum, as in PNG and PDF."""

_XZ_MEMORY = 128 << 20
"""Enough for any preset of `xz`, whose strongest needs 65 MiB."""


class Expander(Protocol):
    """What the decompressors have in common."""

    @property
    def eof(self) -> bool: ...  # noqa: D102
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...  # noqa: D102


class Inflate:
    """zlib's decompressor with the manners of the other two: input that was not used yet is kept inside."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """What follows that end in the last input."""
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Return at most `max_length` bytes more."""
        tail = self._inner.unconsumed_tail
        return self._inner.decompress(tail + data if tail else data, max_length)


def pieces(expander: Expander, data: bytes) -> Iterator[bytes]:
    """Yield what some input expands to, in pieces of bounded size."""
    while piece := expander.decompress(data, PIECE):
        yield piece
        if expander.eof:
            return
        data = b""


def check_gzip(source: Source, tally: Tally) -> None:
    """Check a GZIP file: headers, and CRC-32 and length of each of its members.

    Zero bytes after the last member are padding, as on tapes; other bytes there make `gzip` itself complain.
    """
    _check(source, tally, lambda: Inflate(GZIP))


def check_bzip2(source: Source, tally: Tally) -> None:
    """Check a bzip2 file: the CRC-32 of each block and of each stream."""
    _check(source, tally, bz2.BZ2Decompressor)


def check_xz(source: Source, tally: Tally) -> None:
    """Check an xz file (or one of its predecessor lzma): its index, and the checksum of each block, if it has them."""
    _check(source, tally, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))


def _check(source: Source, tally: Tally, start: Callable[[], Expander]) -> None:
    try:
        _expand(source, tally, start)
    except lzma.LZMAError as error:
        if "limit" in str(error):
            raise Unchecked(f"it needs more than {_XZ_MEMORY:,} bytes of memory to expand") from None
        if "options" in str(error):  # whose own checksum is right
            raise Unchecked(f"it is compressed with options that are not known here: {error}") from None
        raise Damaged(f"member {tally.members}: {error}") from None
    except zlib.error as error:
        raise Damaged(f"member {tally.members}: {_plain(error)}") from None
    except OSError as error:
        if error.errno is not None:  # bz2 reports bad data as an OSError without number
            raise
        raise Damaged(f"stream {tally.members}: {error}") from None


def _expand(source: Source, tally: Tally, start: Callable[[], Expander]) -> None:
    expander: Expander | None = None
    for chunk in source.chunks():
        rest = chunk
        while rest:
            if expander is None:
                # the padding between members, and after the last one
                rest = rest.lstrip(b"\0") if tally.members else rest
                if not rest:
                    break
                tally.member()
                expander = start()
            for piece in pieces(expander, rest):
                tally.expand(len(piece))
            rest = expander.unused_data if expander.eof else b""
            if expander.eof:
                expander = None
    if expander is not None or not tally.members:
        raise Damaged(f"it is cut off: its end is missing after {tally.expanded_bytes:,} expanded bytes")


def _plain(error: zlib.error) -> str:
    """Return zlib's own words, "Error -3 while decompressing data: incorrect data check" without its beginning."""
    return str(error).rpartition(": ")[2]
