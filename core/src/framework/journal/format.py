"""The format of a journal: a few kinds of records, framed and with checksums; written and read here and nowhere else.

Version 1, little-endian. The file begins with `MAGIC`. A record is a frame, `length: u16, crc32: u32`, and so many
bytes: `op: u8, lease: u64`, then what the op needs. Text is UTF-8, in which lone surrogates stand for bytes that are
none; fields end at NUL.

    HEADER   the `Owner` that writes the file
    INTEND   size: u64, acquired at: f64, volatile: u8; kind, name, owner, verb, path, proof
    HOLD     (nothing)
    RELEASE  (nothing)
    TRIED    a reason: giving it back failed; written by who reclaims

A record is one write, so readers see whole ones. One that was torn by a kill fails its checksum, and the intent in it
was not acted upon yet. Behind a damaged one the reader looks for the next that is whole: a lease that it takes for held
because the end of it is lost does no harm, since what is there must show that it is the lease's.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from framework.errors import InvalidRequestError
from framework.identity import Owner
from framework.records import Recovery

if TYPE_CHECKING:
    from framework.lease import Lease

MAGIC: Final = b"fwlease\x01"
HEADER, INTEND, HOLD, RELEASE, TRIED = range(1, 6)

_FRAME = struct.Struct("<HI")
_HEAD = struct.Struct("<BQ")
_INTEND = struct.Struct("<BQQdB")
_START = struct.Struct("<HIBQ")  # a frame, and what each op begins with
_LONGEST = 0xFFFF
_LARGEST = 1 << 30  # bytes; some millions of leases
_TEXT = "surrogatepass"
_AT_PATHS = (Recovery.UNLINK, Recovery.RMTREE, Recovery.RMDIR)  # no set: enumerations are slow to hash

_LIKELY = re.compile(rb"(?s)(?=[\x01-\x05].{6}\0\0)")
"""What may follow a frame: an op, and the number of a lease, of which no process reaches the upper bytes."""


class Target(NamedTuple):
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
    head = _HEAD.pack(op, lease)
    return _framed(head + text.encode("utf-8", "replace")[:1000] if text else head)


def intent(lease: Lease, target: Target) -> bytes:
    """Return the record that intends something for a lease.

    Raises:
        InvalidRequestError: It does not fit into one, or could not be undone.
    """
    verb, path, proof, volatile = target
    text = f"{lease.kind}\0{lease.name}\0{lease.owner}\0{verb._value_}\0{path}\0{proof}"
    try:
        head = _INTEND.pack(INTEND, lease.id, lease.size, lease.acquired_at, volatile)
    except struct.error as error:
        raise InvalidRequestError(
            f"{lease.kind} {lease.name!r} got size {lease.size!r}; allowed: 0 to {2**64 - 1} bytes.",
            resource=lease.name,
        ) from error
    payload = head + text.encode("utf-8", _TEXT)
    if len(payload) > _LONGEST or text.count("\0") != 5:
        raise InvalidRequestError(
            f"{lease.kind} {lease.name!r} would write {len(payload)} bytes to the journal of leases; allowed:"
            f" {_LONGEST}, and no NUL in names.",
            "Use shorter names.",
            resource=lease.name,
        )
    if verb in _AT_PATHS and not _is_plain(path):
        raise _refused(lease, target, f"the path {path!r}", "an absolute one without '.', '..' and needless '/'")
    if proof and proof.partition(":")[0] not in {"inode", "mark"}:
        raise _refused(lease, target, f"the proof {proof!r}", "inode:DEVICE:NUMBER and mark:TOKEN")
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _is_plain(path: str) -> bool:
    """Return whether a path is one that can be found again, wherever a process is, and has no second spelling."""
    if path[:1] != "/" or path[-1] == "/" or "//" in path:
        return False
    return "/." not in path or not ("/./" in path or "/../" in path)


def _refused(lease: Lease, target: Target, found: str, allowed: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{lease.kind} {lease.name!r} intends to {target.verb.value} {found}; allowed: {allowed}.",
        "Report this to the plugin's author.",
        resource=lease.name,
    )


def read(descriptor: int) -> Content:
    """Return what a journal says, as far as it can be read; never fails because of what it finds.

    Raises:
        OSError: The file itself cannot be read.
    """
    size = os.fstat(descriptor).st_size
    if size > _LARGEST:  # no journal of ours gets there
        return Content(None, {}, 0, damaged=True)
    return parse(os.pread(descriptor, size, 0))


def parse(raw: bytes) -> Content:
    """Return what the bytes of a journal say; a damaged record is left out, and the last one may be torn."""
    content = Content(None, {}, 0, damaged=False)
    if not raw.startswith(MAGIC):
        content.damaged = True
        return content
    begins = position = content.valid_bytes = len(MAGIC)
    open_leases: dict[int, list[bytes]] = {}
    while position >= 0:
        payload, op, lease = _record_at(raw, position)
        if payload is None:
            position = _next(raw, position + 1)
            content.damaged |= position >= 0
            continue
        if op == RELEASE:
            open_leases.pop(lease, None)
        elif op == INTEND:
            open_leases.setdefault(lease, []).append(payload)
        elif lease in open_leases:
            open_leases[lease].append(payload)
        elif position == begins and op == HEADER:
            content.owner = Owner.decode(payload[_HEAD.size :])
        position = content.valid_bytes = position + _FRAME.size + len(payload)
    for lease, payloads in open_leases.items():
        for payload in payloads:
            _apply(content, lease, payload)
    content.damaged |= content.owner is None
    return content


def _record_at(raw: bytes, position: int) -> tuple[bytes | None, int, int]:
    """Return a record that is whole, with its op and lease; none if there is none."""
    if position + _START.size > len(raw):
        return None, 0, 0
    length, checksum, op, lease = _START.unpack_from(raw, position)
    start = position + _FRAME.size
    payload = raw[start : start + length]
    if len(payload) != length or length < _HEAD.size or zlib.crc32(payload) != checksum:
        return None, 0, 0
    return payload, op, lease


def _next(raw: bytes, position: int) -> int:
    """Return where the next whole record is; -1 if there is none."""
    for likely in _LIKELY.finditer(raw, position + _FRAME.size):
        start = likely.start() - _FRAME.size
        if _record_at(raw, start)[0] is not None:
            return start
    return -1


def _apply(content: Content, lease: int, payload: bytes) -> None:
    """Add one record, whose checksum was right, to what is known of a lease that was not released."""
    try:
        if payload[0] == INTEND:
            _add(content, payload)
        elif payload[0] == HOLD:
            content.entries[lease].held = True
        elif payload[0] == TRIED:
            content.entries[lease].tried.append(payload[_HEAD.size :].decode("utf-8", "replace"))
    except (struct.error, ValueError, KeyError):  # right by its checksum and yet none of ours
        content.damaged = True


def _add(content: Content, payload: bytes) -> None:
    _, lease, size, acquired_at, volatile = _INTEND.unpack_from(payload)
    text = payload[_INTEND.size :].decode("utf-8", _TEXT)
    kind, name, owner, verb, path, proof = text.split("\0")
    target = Target(Recovery(verb), path, proof, bool(volatile))
    entry = content.entries.setdefault(lease, Entry(lease, kind, name, owner, size, acquired_at))
    entry.targets.append(target)


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
