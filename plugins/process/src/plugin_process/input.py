"""`Input`: an open pipe to what a child reads."""

from __future__ import annotations

import asyncio
import io
import os

from framework.errors import ResourceUnavailableError


class Input:
    """Writes to a child without ever standing in the way of the event loop.

    Args:
        pipe: The writing end, which the input now owns.
        subject: What the child is, for messages.
    """

    def __init__(self, pipe: io.FileIO, subject: str) -> None:
        self._pipe = pipe
        self._subject = subject
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._ready = asyncio.Event()
        os.set_blocking(pipe.fileno(), False)

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._pipe.closed

    async def write(self, data: bytes) -> None:
        """Write all of the data, waiting for the child to read where it must; several writers take turns.

        Raises:
            ResourceUnavailableError: The child reads no more, or this was closed.
        """
        rest = memoryview(data)
        async with self._turn:
            while rest:
                try:
                    if self.closed:
                        raise BrokenPipeError
                    rest = rest[os.write(self._pipe.fileno(), rest) :]
                except BlockingIOError:
                    await self._writable()
                except BrokenPipeError as error:
                    raise ResourceUnavailableError(
                        f"{self._subject} does not read any more; {len(rest)} of {len(data)} bytes were not written.",
                        "Look at its output and its return code.",
                    ) from error

    def close(self) -> None:
        """Let the child see the end of what it reads; closing again does nothing."""
        if not self.closed:
            self._loop.remove_writer(self._pipe.fileno())
            self._pipe.close()
            self._ready.set()

    async def _writable(self) -> None:
        self._ready.clear()
        self._loop.add_writer(self._pipe.fileno(), self._ready.set)
        try:
            await self._ready.wait()
        finally:
            if not self.closed:
                self._loop.remove_writer(self._pipe.fileno())
