"""The frame of a kept record: one line of text with a checksum, written and read here and nowhere else.

A line is the CRC-32 of what follows as a decimal number, a space, a JSON array in ASCII, and a newline; the array
begins with the name of what happened (`State` says which there are). So a file can be read by people and by
`cut -d' ' -f2- | jq -c`, and no record contains a NUL. A file that is being written ends in NULs: reserved room.

A kill can tear the last record and no other, since nothing is written behind one that is not whole. That record then
lacks its newline, or has NULs in it. (A loss of power also can leave holes, pages of NULs that never got to the disk.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any
from zlib import crc32

quoted = encode_basestring_ascii
_AT_ONCE = 4096  # records that are parsed together, which takes half the time


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a file from an offset on.

    Attributes:
        offset: Where the first record is that is not whole.
        length: How many bytes it is, as far as can be told.
        torn: True where nothing whole follows, and the record looks as a kill leaves one.
        hole: True where it contains NULs, as pages do that never got to the disk.
        whole_after: How many whole records follow.
    """

    offset: int
    length: int
    torn: bool
    hole: bool
    whole_after: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file contains: the payloads of its records, where they end, and what is wrong there, if anything."""

    payloads: list[bytes]
    end: int
    damage: Damage | None


def framed(text: str) -> bytes:
    """Return a record as it is written."""
    raw = text.encode("ascii")
    return b"%d %b\n" % (crc32(raw), raw)


def record(*fields: object) -> bytes:
    """Return a record of some fields as it is written."""
    return framed(json.dumps(fields, separators=(",", ":")))


def scan(raw: bytes, start: int = 0) -> Scan:
    """Return the records of a file up to the first that is not whole."""
    payloads: list[bytes] = []
    find = raw.find
    while (stop := find(b"\n", start)) >= 0:
        payload = _payload(raw[start:stop])
        if payload is None:
            break
        payloads.append(payload)
        start = stop + 1
    return Scan(payloads, start, _damage(raw, start))


def parsed(payloads: list[bytes]) -> list[list[Any]]:
    """Return the arrays of some payloads.

    Raises:
        ValueError: One is no array, though its checksum is right.
    """
    found: list[list[Any]] = []
    for first in range(0, len(payloads), _AT_ONCE):
        found += json.loads(b"[%b]" % b",".join(payloads[first : first + _AT_ONCE]))
    if any(type(one) is not list or not one or type(one[0]) is not str for one in found):
        raise ValueError("a record is no array that begins with a name")
    return found


def _damage(raw: bytes, start: int) -> Damage | None:
    rest = raw[start:]
    if not rest.strip(b"\0"):
        return None
    line, newline, after = rest.partition(b"\n")
    whole = len(scan_past(after)[0]) if newline else 0
    hole = b"\0" in line
    return Damage(start, len((line + newline).rstrip(b"\0")), not whole and (hole or not newline), hole, whole)


def scan_past(raw: bytes) -> tuple[list[bytes], int]:
    """Return all whole records of a file, also those behind others that are not, and how many bytes are of none."""
    lines = raw.split(b"\n")
    found = [_payload(line) for line in lines[:-1]]
    lost = sum([len(line) + 1 for line, payload in zip(lines, found, strict=False) if payload is None])
    return [one for one in found if one is not None], lost + len(lines[-1].rstrip(b"\0"))


def _payload(line: bytes) -> bytes | None:
    """Return what a line says; None where its checksum is another one."""
    checksum, _, payload = line.partition(b" ")
    return payload if checksum == b"%d" % crc32(payload) else None
