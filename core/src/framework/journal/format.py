"""The format of a journal: a few kinds of records, framed and with checksums; written and read here and nowhere else.

Version 1, little-endian. The file begins with `MAGIC`. A record is a frame, `length: u16, crc32: u32`, and so many
bytes: `op: u8, lease: u64`, then what the op needs. Text is UTF-8 with surrogate escapes, fields end at NUL.

    HEADER   the `Owner` that writes the file
    INTEND   size: u64, acquired at: f64, volatile: u8; kind, name, owner, verb, path, proof
    HOLD     (nothing)
    RELEASE  (nothing)
    TRIED    a reason: giving it back failed; written by who reclaims

A record is one write, so readers see whole ones. One that was torn by a kill fails its checksum, and the intent in it
was not acted upon yet.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from framework.errors import InvalidRequestError
from framework.identity import Owner
from framework.records import Recovery

if TYPE_CHECKING:
    from framework.ledger import Lease

MAGIC: Final = b"fwlease\x01"
HEADER, INTEND, HOLD, RELEASE, TRIED = range(1, 6)

_FRAME = struct.Struct("<HI")
_HEAD = struct.Struct("<BQ")
_INTEND = struct.Struct("<BQQdB")
_LONGEST = 0xFFFF


@dataclass(frozen=True, slots=True)
class Target:
    """What must be undone for a lease, should its owner die.

    Args:
        verb: How.
        path: An absolute path without symbolic links, a token in a child's environment, or what a provider understands.
        proof: What shows that a thing at the path is the lease's, not another's: `inode:DEVICE:NUMBER`, or
            `mark:TOKEN`, an extended attribute. Without a proof the path's last part must contain the lease's token.
        volatile: Whether it is gone when the machine starts anew.
    """

    verb: Recovery
    path: str
    proof: str = ""
    volatile: bool = False


@dataclass(slots=True)
class Entry:
    """What a journal says of one lease."""

    id: int
    kind: str
    name: str
    owner: str
    size: int
    acquired_at: float
    targets: list[Target] = field(default_factory=list)
    held: bool = False
    tried: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Content:
    """What a journal says."""

    owner: Owner | None
    entries: dict[int, Entry]
    valid_bytes: int
    damaged: bool


def header(owner: Owner) -> bytes:
    """Return how a journal begins."""
    return MAGIC + _framed(_HEAD.pack(HEADER, 0) + owner.encode())


def record(op: int, lease: int, text: str = "") -> bytes:
    """Return a record of an op that needs at most a line of text, which is cut after 1,000 bytes."""
    return _framed(_HEAD.pack(op, lease) + text.encode("utf-8", "replace")[:1000])


def intent(lease: Lease, target: Target) -> bytes:
    """Return the record of what must be undone for a lease.

    Raises:
        InvalidRequestError: It does not fit into one.
    """
    fields = [lease.kind, lease.name, lease.owner, target.verb.value, target.path, target.proof]
    text = "\0".join(fields)
    head = _INTEND.pack(INTEND, lease.id, lease.size, lease.acquired_at, target.volatile)
    payload = head + text.encode("utf-8", "surrogateescape")
    if len(payload) > _LONGEST or text.count("\0") != 5:
        raise InvalidRequestError(
            f"{lease.kind} {lease.name!r} would write {len(payload)} bytes to the journal of leases; allowed:"
            f" {_LONGEST}, and no NUL in names.",
            "Use shorter names.",
            resource=lease.name,
        )
    return _framed(payload)


def read(descriptor: int) -> Content:
    """Return what a journal says, as far as it can be read; never fails because of what it finds.

    Raises:
        OSError: The file itself cannot be read.
    """
    size = os.fstat(descriptor).st_size
    return parse(os.pread(descriptor, size, 0))


def parse(raw: bytes) -> Content:
    """Return what the bytes of a journal say; a damaged record is left out, and the last one may be torn."""
    content = Content(None, {}, 0, damaged=False)
    if not raw.startswith(MAGIC):
        content.damaged = True
        return content
    position = content.valid_bytes = len(MAGIC)
    while position < len(raw):
        payload, following = _frame_at(raw, position)
        if following is None:
            content.damaged |= content.owner is None
            break
        if payload is None:
            content.damaged = True
        else:
            _apply(content, payload)
        position = content.valid_bytes = following
    return content


def _frame_at(raw: bytes, position: int) -> tuple[bytes | None, int | None]:
    """Return a record and where the next one begins; no record if it is damaged, and no next one at the end."""
    payload, following = _whole(raw, position)
    if payload is None and following is not None and _whole(raw, following)[0] is None:
        return None, None  # not one damaged record among good ones: what follows means nothing
    return payload, following


def _whole(raw: bytes, position: int) -> tuple[bytes | None, int | None]:
    start = position + _FRAME.size
    if start > len(raw):
        return None, None
    length, checksum = _FRAME.unpack_from(raw, position)
    payload = raw[start : start + length]
    if len(payload) != length or not length:
        return None, None
    return (payload if zlib.crc32(payload) == checksum else None), start + length


def _apply(content: Content, payload: bytes) -> None:
    """Add one record, whose checksum was right, to what is known."""
    try:
        op, lease = _HEAD.unpack_from(payload)
        entry = content.entries.get(lease)
        if op == HEADER:
            content.owner = Owner.decode(payload[_HEAD.size :])
        elif op == INTEND:
            _add(content, payload)
        elif op == RELEASE:
            content.entries.pop(lease, None)
        elif entry is not None and op == HOLD:
            entry.held = True
        elif entry is not None and op == TRIED:
            entry.tried.append(payload[_HEAD.size :].decode("utf-8", "replace"))
    except (struct.error, ValueError):  # right by its checksum and yet none of ours
        content.damaged = True


def _add(content: Content, payload: bytes) -> None:
    _, lease, size, acquired_at, volatile = _INTEND.unpack_from(payload)
    text = payload[_INTEND.size :].decode("utf-8", "surrogateescape")
    kind, name, owner, verb, path, proof = text.split("\0")
    entry = content.entries.setdefault(lease, Entry(lease, kind, name, owner, size, acquired_at))
    entry.targets.append(Target(Recovery(verb), path, proof, bool(volatile)))


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
