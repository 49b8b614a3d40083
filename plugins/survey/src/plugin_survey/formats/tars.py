"""TAR archives (POSIX.1-2017 pax, ustar, GNU and V7): header checksums, sizes, and the two empty blocks at the end.

The content of members has no checksum, so it is passed over, not read.
"""

from __future__ import annotations

import re

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.finding import CUT_OFF, Damaged
from plugin_survey.formats.source import Source

BLOCK = 512
_EMPTY = bytes(BLOCK)
_CHECKSUM = slice(148, 156)
_WITHOUT_CONTENT = frozenset(b"123456")
_GNU_SPARSE = ord("S")
_PAX = ord("x")
_LONGEST_RECORDS = 1 << 20
_SIZE_RECORD = re.compile(rb"(?:^|\n)\d+ size=(\d{1,19})\n")


def check_tar(source: Source, tally: Tally) -> None:
    """Check a TAR archive: the checksum of every header, that every member is whole, and that the end is marked."""
    place, told = 0, None
    while (header := source.read(place, BLOCK)) != _EMPTY:
        if len(header) < BLOCK:
            raise Damaged(
                f"{CUT_OFF} after {tally.members:,} members: the empty block that ends a TAR archive is missing"
            )
        _check_sum(header, place)
        tally.member()
        size = _size(header, place) if told is None else told
        place += BLOCK
        told = _size_told(source, place, size) if header[156] == _PAX else None
        if header[156] == _GNU_SPARSE:
            place = _after_sparse_map(source, place, header[482])
        if header[156] not in _WITHOUT_CONTENT:
            place += -(-size // BLOCK) * BLOCK
        if place > source.size:
            raise Damaged(f"{CUT_OFF}: member {tally.members:,} is incomplete, or its size wrong")


def _size_told(source: Source, place: int, size: int) -> int | None:
    """Return the size of the next member, where its extended header has it because it is of 8 GiB or more."""
    found = _SIZE_RECORD.search(source.read(place, min(size, _LONGEST_RECORDS)))
    return int(found[1]) if found else None


def _check_sum(header: bytes, place: int) -> None:
    if _number(header[_CHECKSUM]) not in _sums(header):
        raise Damaged(f"the header at byte {place:,} does not have the checksum that it says")


def _sums(header: bytes) -> tuple[int, int]:
    """Return the sum of the bytes with the checksum as spaces, and that of signed bytes as some old programs wrote."""
    rest = header[:148] + header[156:]
    total = sum(rest) + 8 * ord(" ")
    return total, total - 256 * sum(1 for byte in rest if byte > 127) if max(rest) > 127 else total


def _size(header: bytes, place: int) -> int:
    field = header[124:136]
    if field[0] & 0x80:  # GNU: a binary number, for sizes of 8 GiB and more
        return int.from_bytes(field[1:], "big") | (field[0] & 0x7F) << 88
    size = _number(field)
    if size is None:
        raise Damaged(f"the header at byte {place:,} has no valid size")
    return size


def _number(field: bytes) -> int | None:
    """Return an octal number, which ends at a zero byte or a space; nothing at all is 0."""
    digits = field.split(b"\0", 1)[0].strip()
    if not digits:
        return 0
    return int(digits, 8) if not digits.strip(b"01234567") else None


def _after_sparse_map(source: Source, place: int, more: int) -> int:
    """Return where the content begins: behind the further blocks that tell where its holes are."""
    while more and place < source.size:
        block = source.read(place, BLOCK)
        more = block[504] if len(block) == BLOCK else 0
        place += BLOCK
    return place
