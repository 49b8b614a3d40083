"""Messages through a pipe: one byte that says what it is, eight for the length, and the body.

A worker process imports this module, so it imports little.
"""

from __future__ import annotations

import os
import struct

CALL, PREPARE = 1, 2
"""What an owner sends: a pickled call, or at first what makes its main program importable."""

READY, FAILED, RESULT, RAISED, UNLOADABLE, UNSENDABLE = 11, 12, 13, 14, 15, 16
"""What a worker answers: at first that it is ready or why not, then how each call went."""

_HEADER = struct.Struct("<BQ")
_PORTION = 65536
"""What a pipe holds unless told otherwise."""


def send(pipe: int, kind: int, body: bytes | bytearray | memoryview = b"") -> None:
    """Write a message; returns when all of it is in the pipe.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    header = _HEADER.pack(kind, len(body))
    if len(body) < _PORTION:
        rest = memoryview(header + body)
    else:
        _write(pipe, memoryview(header))
        rest = memoryview(body)
    _write(pipe, rest)


def receive(pipe: int) -> tuple[int, memoryview]:
    """Read a message and return its kind and body.

    Raises:
        EOFError: The writer closed the pipe or is gone, perhaps in the middle of a message.
    """
    start = _read(pipe)
    while len(start) < _HEADER.size:
        start += _read(pipe)
    kind, length = _HEADER.unpack_from(start)
    body = memoryview(start)[_HEADER.size :]
    return kind, body if len(body) == length else _whole(pipe, body, length)


def _whole(pipe: int, start: memoryview, length: int) -> memoryview:
    whole = memoryview(bytearray(length))
    filled = len(start)
    whole[:filled] = start
    while filled < length:
        count = os.readv(pipe, [whole[filled:]])
        if not count:
            raise EOFError
        filled += count
    return whole


def _read(pipe: int) -> bytes:
    found = os.read(pipe, _PORTION)
    if not found:
        raise EOFError
    return found


def _write(pipe: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(pipe, rest) :]
