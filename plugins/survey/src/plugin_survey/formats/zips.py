"""ZIP archives (APPNOTE.TXT 6.3.10): the directory, the members behind it, and the check of both.

Read by hand because `zipfile` reads the whole directory into memory, raises whatever a malformed one leads to, and does
not see members that overlap. Here memory is constant, and only `Damaged` and `Unchecked` are raised.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from plugin_survey.formats.bounds import Tally
from plugin_survey.formats.compressed import RAW, Inflate, pieces
from plugin_survey.formats.finding import Damaged, Unchecked
from plugin_survey.formats.source import Source

LOCAL = b"PK\x03\x04"
_CENTRAL = b"PK\x01\x02"
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CENTRAL_HEADER = struct.Struct("<6xBx2H4x3I3H8xI")
_END_RECORD = struct.Struct("<4s4H2IH")
_END64_RECORD = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64_RECORD = struct.Struct("<4sIQI")

_LONGEST_ENTRY = _CENTRAL_HEADER.size + 3 * 0xFFFF
_MOST_NAMED = 20_000
"""Members that are kept by name."""
_LONGEST_NAME = 1000
"""Bytes of a name that is kept; no member of a document has a longer one."""
_NEWEST = 63
"""The newest version of the format there is, 6.3; whoever reads an archive refuses what needs a later one."""
_WINDOW = 1 << 20
_MAX32 = 0xFFFFFFFF
_ENCRYPTED = 0x0001
_SIZES_FOLLOW = 0x0008
_MASKED = 0x2000
STORED, DEFLATED = 0, 8


class Entry(NamedTuple):
    """What the directory says about one member; `offset` is that of its local header in the file."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def label(self) -> str:
        """The name for a message: printable, and not too long."""
        name = ascii(self.name.decode("utf-8", "replace"))[1:-1]
        return f"member '{name}'" if len(name) <= 80 else f"member '{name[:77]}...'"

    @property
    def readable(self) -> bool:
        """Whether it is neither encrypted nor compressed by a rare method."""
        return not self.flags & _ENCRYPTED and self.method in (STORED, DEFLATED)


class Directory:
    """The directory at the end of a ZIP archive; iterating yields each `Entry`, read anew every time.

    Raises:
        Damaged: There is none, it is cut off, or it lies outside of the file.
        Unchecked: It is one part of several.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        place, record = _end_record(source)
        _, disk, first_disk, here, self.count, size, offset, _ = record
        self.end = place
        found = _end64_record(source, place)
        if found:
            self.end, (disk, first_disk, here, self.count, size, offset) = found
        # the last of several parts has the whole directory more often than not, and only its number tells
        if disk or first_disk or here != self.count:
            raise Unchecked("it is one part of an archive of several")
        self.start = self.end - size
        # programs that unpack themselves have something in front, which their offsets do not count
        self.shift = self.start - offset
        if self.start < 0 or self.shift < 0:
            raise Damaged("it is cut off at its start: its directory would begin before the file does")
        if self.shift and source.read(0, 4) == LOCAL:
            raise Damaged("it is cut off: what looks like its directory belongs to an archive inside")

    def __iter__(self) -> Iterator[Entry]:
        place, at, window = self.start, 0, b""
        while place + at < self.end:
            if len(window) - at < _LONGEST_ENTRY and place + len(window) < self.end:
                place, at = place + at, 0
                window = self._source.read(place, min(_WINDOW, self.end - place))
            entry, at = self._entry(window, at)
            yield entry

    def _entry(self, window: bytes, at: int) -> tuple[Entry, int]:
        if len(window) - at < _CENTRAL_HEADER.size or window[at : at + 4] != _CENTRAL:
            raise Damaged("its directory is corrupt: an entry does not begin where it should")
        fields = _CENTRAL_HEADER.unpack_from(window, at)
        version, flags, method, crc, packed, size, name_length, extra_length, comment_length, offset = fields
        start = at + _CENTRAL_HEADER.size
        extra_start = start + name_length
        end = extra_start + extra_length + comment_length
        if end > len(window):
            raise Damaged("its directory is corrupt: an entry is longer than the directory")
        if version > _NEWEST:
            raise Damaged(
                f"its directory is corrupt: an entry needs version {version / 10} of the format, not up to 6.3"
            )
        if _MAX32 in (packed, size, offset):
            size, packed, offset = _large(window[extra_start : extra_start + extra_length], size, packed, offset)
        return Entry(window[start:extra_start], flags, method, crc, packed, size, offset + self.shift), end


def _end_record(source: Source) -> tuple[int, tuple[int, ...]]:
    """Return place and fields of the end record: the last one whose comment fits into the file."""
    start = max(0, source.size - _END_RECORD.size - 0xFFFF)
    tail = source.read(start, source.size - start)
    at = tail.rfind(_END)
    while at >= 0:
        if len(tail) - at >= _END_RECORD.size:
            record = _END_RECORD.unpack_from(tail, at)
            if at + _END_RECORD.size + record[-1] <= len(tail):
                return start + at, record
        at = tail.rfind(_END, 0, at)
    raise Damaged("it is cut off: the record that ends a ZIP archive is missing or incomplete")


def _end64_record(source: Source, place: int) -> tuple[int, tuple[int, ...]] | None:
    """Return the fields of the larger end record, where there is one."""
    place -= _LOCATOR64_RECORD.size
    locator = source.read(place, _LOCATOR64_RECORD.size)
    if locator[:4] != _LOCATOR64:
        return None
    offset = _LOCATOR64_RECORD.unpack(locator)[2]
    # right before its locator, unless it has optional fields; then where that says
    for where in (place - _END64_RECORD.size, offset):
        data = source.read(where, _END64_RECORD.size)
        if len(data) == _END64_RECORD.size and data[:4] == _END64:
            fields = _END64_RECORD.unpack(data)
            return where, fields[4:]
    raise Damaged("its directory is corrupt: the end record for large archives is not where it should be")


def _large(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Return the sizes and the offset with those replaced that are in the field for large archives."""
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, at)
        if number == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            try:
                return tuple(next(values) if one == _MAX32 else one for one in (size, packed, offset))  # type: ignore[return-value] # three in, three out
            except (StopIteration, RuntimeError):
                raise Damaged("its directory is corrupt: a size of more than 4 GiB is missing") from None
        at += 4 + length
    return size, packed, offset


def members(source: Source, tally: Tally) -> dict[str, Entry]:
    """Return the readable members of an archive by name, for those who need some of them.

    Raises:
        Damaged: The directory is corrupt.
        Unchecked: There are more members, or more bytes in them, than allowed.
    """
    found: dict[str, Entry] = {}
    for entry in Directory(source):
        tally.member()
        if len(found) == _MOST_NAMED:
            raise Unchecked(f"it has more than {_MOST_NAMED:,} members, which no document has")
        if entry.readable and len(entry.name) <= _LONGEST_NAME:
            found[entry.name.decode("utf-8", "replace")] = entry
    return found


def check_zip(source: Source, tally: Tally) -> None:
    """Check a ZIP archive: its directory against the headers of the members, their places, and the CRC-32 of each."""
    directory = Directory(source)
    total = _check_places(directory, tally)
    for entry in directory:
        _content_start(source, entry)
    tally.foresee(total)
    skipped: list[Entry] = []
    for entry in directory:
        if entry.readable:
            for _ in expanded(source, entry, tally):
                pass
        elif not skipped:
            skipped.append(entry)
    if skipped:
        entry = skipped[0]
        reason = "is encrypted" if entry.flags & _ENCRYPTED else f"is compressed by method {entry.method}"
        raise Unchecked(f"{entry.label} {reason}, which cannot be checked; other members are as they should be")


def _check_places(directory: Directory, tally: Tally) -> int:
    """Compare what the directory says about places, and return how many bytes it says that all members have."""
    starts, ends, total, ordered = array("Q"), array("Q"), 0, True
    for entry in directory:
        tally.member()
        total += entry.size
        end = entry.offset + _LOCAL_HEADER.size + len(entry.name) + entry.packed
        if end > directory.start:
            raise Damaged(f"{entry.label} would reach beyond the members' part of the file")
        ordered = ordered and (not ends or entry.offset >= ends[-1])
        starts.append(entry.offset)
        ends.append(end)
    if len(starts) & 0xFFFF != directory.count & 0xFFFF:
        raise Damaged(f"its directory is corrupt: it has {len(starts):,} entries instead of {directory.count:,}")
    if not ordered:
        spans = sorted(zip(starts, ends, strict=True))
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
            raise Damaged("its members overlap, as in compression bombs")
    return total


def expanded(source: Source, entry: Entry, tally: Tally) -> Iterator[bytes]:
    """Yield the content of a readable member, piece by piece, then compare its length and checksum.

    Raises:
        Damaged: Header, content or checksum are wrong.
        Unchecked: It expands to more than allowed.
    """
    start = _content_start(source, entry)
    crc = length = 0
    for piece in _stored(source, start, entry) if entry.method == STORED else _inflated(source, start, entry):
        tally.expand(len(piece))
        length += len(piece)
        if length > entry.size:
            raise Damaged(f"{entry.label} expands to more than the {entry.size:,} bytes that the directory says")
        crc = zlib.crc32(piece, crc)
        yield piece
    if length != entry.size:
        raise Damaged(f"{entry.label} has {length:,} bytes instead of {entry.size:,}")
    if crc != entry.crc:
        raise Damaged(f"{entry.label} has the checksum {crc:08x} instead of {entry.crc:08x}")


def _content_start(source: Source, entry: Entry) -> int:
    """Return where the content of a member begins, once its own header agrees with the directory."""
    data = source.read(entry.offset, _LOCAL_HEADER.size + len(entry.name))
    if len(data) < _LOCAL_HEADER.size + len(entry.name) or data[:4] != LOCAL:
        raise Damaged(f"{entry.label} does not begin where the directory says")
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_HEADER.unpack_from(data)
    if flags & _MASKED:  # what it says of itself is hidden, as the directory was before it was read
        return entry.offset + len(data) + int(extra_length)
    same = (data[_LOCAL_HEADER.size :], name_length, method, flags & _ENCRYPTED)
    if same != (entry.name, len(entry.name), entry.method, entry.flags & _ENCRYPTED):
        raise Damaged(f"{entry.label} has another name or method in its own header than in the directory")
    # some programs leave out what only the directory needs, without the flag that says so
    if not flags & _SIZES_FOLLOW and any((crc, packed, size)):
        known = (entry.crc, entry.packed, entry.size)
        told = tuple(mine if said == _MAX32 else said for said, mine in zip((crc, packed, size), known, strict=True))
        if told != known:
            raise Damaged(f"{entry.label} has another size or checksum in its own header than in the directory")
    return entry.offset + len(data) + int(extra_length)


def _stored(source: Source, start: int, entry: Entry) -> Iterator[bytes]:
    return source.chunks(start, start + entry.packed)


def _inflated(source: Source, start: int, entry: Entry) -> Iterator[bytes]:
    inflate = Inflate(RAW)
    try:
        for chunk in source.chunks(start, start + entry.packed):
            yield from pieces(inflate, chunk)
            if inflate.eof:
                return
    except zlib.error as error:
        raise Damaged(f"{entry.label}: {str(error).rpartition(': ')[2]}") from None
    if not inflate.eof:
        raise Damaged(f"{entry.label} is cut off within its compressed content")
