"""WAV sound (RIFF, RIFX and, beyond 4 GiB, RF64 of EBU Tech 3306): sizes of the whole and of each chunk."""

from __future__ import annotations

from typing import Literal

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

_Order = Literal["little", "big"]

_MAX32 = 0xFFFFFFFF
_UNKNOWN = (0, _MAX32)
"""Sizes that programs write which do not know them yet, because they write into a pipe."""
_LARGEST = range(0x7FFF_0000, 0x8000_1000)
"""Sizes that others write then, which take them for numbers with a sign."""


def check_wav(source: Source, tally: Tally) -> None:
    """Check a WAV file: its chunks lie within what its header says, that within the file, and none is missing."""
    head = source.read(0, 12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
        raise Damaged("it does not begin with the header of a WAV file, or is cut off in it")
    order: _Order = "big" if head[:4] == b"RIFX" else "little"
    size = int.from_bytes(head[4:8], order)
    if head[:4] == b"RF64":
        _check_chunks(source, tally, source.size, order)
    elif size in _UNKNOWN or (size in _LARGEST and 8 + size > source.size):
        raise Unchecked("its header does not say how long it is, as when a program writes into a pipe")
    else:
        # the byte that makes the last chunk's length even is missing from many a good file
        _require(source, 8 + size - 1)
        _check_chunks(source, tally, 8 + size, order)


def _require(source: Source, end: int) -> None:
    if end > source.size:
        raise Damaged(f"it is cut off: it has {source.size:,} bytes instead of {end:,} or more")


def _check_chunks(source: Source, tally: Tally, end: int, order: _Order) -> None:
    place, formed, sound, large = 12, False, False, 0
    while place + 8 <= end:
        head = source.read(place, 8)
        name, size = head[:4], int.from_bytes(head[4:], order)
        if name == b"ds64":
            large = int.from_bytes(source.read(place + 16, 8), order)
        if name == b"data":
            if not formed:
                raise Damaged("its sound comes before the chunk that says what form it has")
            sound = True
            size = large if size == _MAX32 else size
        formed = formed or name == b"fmt "
        tally.member()
        place += 8 + size
        _require(source, place)
        place += size % 2
    if not sound:
        raise Damaged("it has no sound: the chunk 'data' is missing")
