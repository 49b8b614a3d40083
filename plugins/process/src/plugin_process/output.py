"""`Output`, what a child wrote, and `Capture`, which reads it as it comes and keeps a bounded part."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import struct
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass

READ_SIZE = 1 << 16
"""Bytes read at once: what a pipe holds unless it was made larger."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a child wrote until it ended. Where it was more than the limit, the last bytes are kept.

    `truncated` says that something is missing from the front of either.
    """

    stdout: bytes
    stderr: bytes
    truncated: bool


class Tail:
    """Keeps the last `limit` bytes of what is added."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept = bytearray()
        self.dropped = 0

    def add(self, chunk: bytes) -> None:
        """Add bytes, dropping the oldest beyond the limit."""
        self.kept += chunk
        excess = len(self.kept) - self.limit
        if excess > 0:
            del self.kept[:excess]
            self.dropped += excess

    def line_from(self, position: int) -> tuple[bytes, int]:
        r"""Return the line that starts at a position, "\n" included, and where the next one starts.

        The line is empty when its end has not come yet. Where the position was dropped, it is the oldest line kept.
        """
        start = max(position - self.dropped, 0)
        end = self.kept.find(b"\n", start) + 1
        return bytes(self.kept[start:end]), self.dropped + (end or start)


class Capture:
    """Reads one output of a child on the event loop, so that the child never waits for us.

    A pipe holds what a short-lived child writes, so reading need not begin at once.

    Args:
        pipe: The reading end, which the capture now owns.
        limit: Bytes kept.
    """

    def __init__(self, pipe: io.FileIO, limit: int) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Event | None = None
        self._reading = False
        self.tail = Tail(limit)
        self.complete = False

    def start(self) -> None:
        """Begin to read as it comes; starting again does nothing.

        Raises:
            OSError: The event loop cannot watch one more descriptor.
        """
        if not self._reading and not self._pipe.closed:
            os.set_blocking(self._pipe.fileno(), False)
            self._loop.add_reader(self._pipe.fileno(), self._read)
            self._reading = True

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield each line as it comes, from the first one kept, until the output is complete."""
        position = 0
        self.start()
        while True:
            line, position = self.tail.line_from(position)
            if line:
                yield line
            elif self.complete:
                break
            else:
                self._changed = self._changed or asyncio.Event()
                await self._changed.wait()
        rest = bytes(self.tail.kept[max(position - self.tail.dropped, 0) :])
        if rest:
            yield rest

    def finish(self) -> None:
        """Take what the ended child left in the pipe; what its own children may still write does not count."""
        if not self._pipe.closed:
            (waiting,) = struct.unpack("i", fcntl.ioctl(self._pipe.fileno(), termios.FIONREAD, bytes(4)))
            while waiting > 0 and (chunk := os.read(self._pipe.fileno(), min(waiting, READ_SIZE))):
                waiting -= len(chunk)
                self.tail.add(chunk)
        self._complete()

    def close(self) -> None:
        """Stop reading; closing again does nothing."""
        if not self._pipe.closed:
            if self._reading:
                self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
        self._complete()

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe.fileno(), READ_SIZE)
        except BlockingIOError:
            return
        if not chunk:
            self.close()
            return
        if not self.complete:
            self.tail.add(chunk)
            self._wake()

    def _complete(self) -> None:
        self.complete = True
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
