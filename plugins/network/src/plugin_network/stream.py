"""`Stream`: bytes in both directions over one connected socket."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.lowlevel

from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_network.address import SocketAddress, host_and_port, place
from plugin_network.securing import close, failure

READ_LIMIT = 256 * 1024
"""Most bytes asked of the system at once; it sets them aside before it knows how many will come."""

STREAK_LIMIT = 16
"""Operations that may succeed at once before other tasks get their turn: a fast peer must not starve them."""

SECURED_LIMIT = 64 * 1024
"""Most bytes that are encrypted at once: one call goes on for as long as the system takes what comes of them."""

BUSY_PAUSE = 0.01
"""Seconds until it is tried again where two tasks would have to wait for the same thing."""

R = TypeVar("R")


class Stream:
    """Bytes in both directions. Several tasks may send, and several receive: they take turns.

    Args:
        sock: A connected non-blocking socket, which the stream now owns.
        buffer_size: Most bytes received at once, most bytes of a line, and so most bytes kept back.
        subject: What this is, for messages.
    """

    def __init__(self, sock: socket.socket, buffer_size: int, subject: str) -> None:
        self._socket = sock
        self._buffer_size = buffer_size
        self._subject = subject
        self._kept = bytearray()  # received, not taken yet
        self._closed = False
        self._streak = 0  # operations since one had to wait
        self._spoilt = False  # an operation failed, was cancelled, or ended one direction
        self._asked = False  # something was sent after the last that was received
        self._torn = False  # secured, and something was sent in part
        self._sending = asyncio.Lock()
        self._receiving = asyncio.Lock()
        self.local: SocketAddress = host_and_port(sock.getsockname())
        self.peer: SocketAddress = _peer_of(sock)
        self.tls_version: str = (sock.version() or "") if isinstance(sock, ssl.SSLSocket) else ""

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of the data. If this is cancelled, part of it may have been sent.

        Raises:
            InvalidRequestError: The data is not bytes.
            ResourceUnavailableError: The peer is gone.
            ResourceError: The stream was closed; or it is secured, and sending was cancelled in the middle before.
        """
        try:
            left = memoryview(data).cast("B")
        except TypeError as error:
            raise InvalidRequestError(
                f"{self._subject} can send bytes, not {type(data).__name__} ({error}).", "Encode it first."
            ) from error
        async with self._sending:
            self._check_whole()
            self._asked, self._torn = True, bool(self.tls_version)
            while left:
                part = left[:SECURED_LIMIT] if self.tls_version else left
                sent = await self._transfer(functools.partial(self._socket.send, part), anyio.wait_writable)
                left = left[sent:]
            self._torn = False

    async def send_eof(self) -> None:
        """Tell the peer that nothing more will be sent; receiving goes on.

        Raises:
            InvalidRequestError: The stream is secured; TLS ends both directions together.
            ResourceUnavailableError: The peer is gone.
            ResourceError: The stream was closed.
        """
        if self.tls_version:
            raise InvalidRequestError(
                f"{self._subject} is secured, and TLS ends both directions together.",
                "Have the messages say where they end, or release the connection.",
            )
        async with self._sending:
            self._check_open()
            self._spoilt = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise self._lost(error) from error

    async def receive(self, max_bytes: int | None = None) -> bytes:
        """Return what has arrived, at least one byte, waiting for it if need be; b"" when the peer has finished.

        Args:
            max_bytes: Most bytes to return; never more than the buffer size, which is the default.

        Raises:
            InvalidRequestError: `max_bytes` is less than 1.
            ResourceUnavailableError: The peer is gone.
            ResourceError: The stream was closed.
        """
        if max_bytes is not None and max_bytes < 1:
            raise InvalidRequestError(f"{self._subject} got max_bytes={max_bytes}; the least allowed is 1.")
        wanted = min(max_bytes or self._buffer_size, self._buffer_size)
        async with self._receiving:
            return self._take(wanted) if self._kept else await self._fetch(wanted)

    async def receive_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes. If this is cancelled, what has arrived is kept for the next call.

        Raises:
            InvalidRequestError: `count` is negative or more than the buffer size.
            ResourceUnavailableError: The peer finished or vanished before; what came is left to `receive`.
            ResourceError: The stream was closed.
        """
        if not 0 <= count <= self._buffer_size:
            raise InvalidRequestError(
                f"{self._subject} got count={count}; allowed: 0 to its buffer size, {self._buffer_size}.",
                "Receive it in parts, or ask for a larger size.",
            )
        async with self._receiving:
            while len(self._kept) < count:
                if not await self._fill():
                    raise self._ended(f"{count} bytes, of which {len(self._kept)} came")
            return self._take(count)

    async def receive_line(self) -> bytes:
        r"""Return the next line with its "\n"; without it if the peer finished first, b"" when there is no more.

        If this is cancelled, what has arrived is kept for the next call.

        Raises:
            ResourceLimitError: The line is longer than the buffer size; what came is left to `receive`.
            ResourceUnavailableError: The peer is gone.
            ResourceError: The stream was closed.
        """
        searched = 0
        async with self._receiving:
            while (end := self._kept.find(b"\n", searched)) < 0:
                searched = len(self._kept)
                if searched >= self._buffer_size:
                    raise ResourceLimitError(
                        f"{self._subject} received a line longer than its buffer size, {self._buffer_size} bytes.",
                        "Ask for a larger size, or use receive().",
                    )
                if not await self._fill():
                    return self._take(searched)
            return self._take(end + 1)

    def _disconnect(self) -> Awaitable[None] | None:
        """Close the socket and wake whoever waits on it; return what to await, where anybody does."""
        if self._closed:
            return None
        self._closed = True
        self._kept.clear()
        if self._receiving.locked() or self._sending.locked():
            anyio.notify_closing(self._socket)
            return self._close_later()
        close(self._socket)
        return None

    async def _close_later(self) -> None:
        try:
            # whoever was woken must have let go of the descriptor before its number can be another socket's
            await anyio.lowlevel.cancel_shielded_checkpoint()
        finally:
            close(self._socket)

    async def _fill(self) -> bool:
        chunk = await self._fetch(self._buffer_size - len(self._kept))
        self._kept += chunk
        return bool(chunk)

    async def _fetch(self, limit: int) -> bytes:
        receive = functools.partial(self._socket.recv, min(limit, READ_LIMIT))
        chunk = await self._transfer(receive, anyio.wait_readable)
        self._asked = False
        self._spoilt = self._spoilt or not chunk
        return chunk

    async def _transfer(self, operation: Callable[[], R], ready: Callable[[socket.socket], Awaitable[None]]) -> R:
        if self._streak >= STREAK_LIMIT:
            self._streak = 0
            await anyio.lowlevel.checkpoint()
        while True:
            self._check_open()
            try:
                result = operation()
            except BlockingIOError:
                await self._until(ready)
            except ssl.SSLWantReadError:
                await self._until(anyio.wait_readable)
            except ssl.SSLWantWriteError:
                await self._until(anyio.wait_writable)
            except OSError as error:
                self._spoilt = True
                raise self._lost(error) from error
            else:
                self._streak += 1
                return result

    async def _until(self, ready: Callable[[socket.socket], Awaitable[None]]) -> None:
        self._streak = 0
        try:
            await ready(self._socket)
        except anyio.ClosedResourceError as error:
            raise self._gone() from error
        except anyio.BusyResourceError:
            # only with TLS, and hardly ever: to receive, something must be sent, while another task waits to send
            await anyio.sleep(BUSY_PAUSE)
        except BaseException:
            self._spoilt = True  # cancelled: the peer may still answer, or has only a part of what was sent
            raise

    def _check_whole(self) -> None:
        if self._torn:
            raise ResourceError(
                f"{self._subject} cannot send any more: it is secured, and sending ended in the middle before.",
                "Release it, and acquire a new one.",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise self._gone()

    def _gone(self) -> ResourceError:
        return ResourceError(f"{self._subject} was closed.", "Acquire a new one.")

    def _lost(self, error: OSError) -> ResourceError:
        """Return the error to raise for what the system answered; the connection cannot be used any more."""
        if isinstance(error, ssl.SSLError):
            return failure(f"{self._subject} lost its peer{self._at()}", error, connected=True)
        return ResourceUnavailableError(
            f"{self._subject} lost its peer{self._at()}: {error.strerror or error}.",
            "Acquire a new connection.",
        )

    def _ended(self, wanted: str) -> ResourceError:
        return ResourceUnavailableError(
            f"{self._subject} wanted {wanted}, when the peer{self._at()} finished sending.",
            "Take the rest with receive(), and acquire a new connection.",
        )

    def _at(self) -> str:
        return f" {place(*self.peer)}" if self.peer[0] else ""

    def _take(self, count: int) -> bytes:
        taken = bytes(self._kept[:count])
        del self._kept[:count]
        return taken


def _peer_of(sock: socket.socket) -> SocketAddress:
    try:
        return host_and_port(sock.getpeername())
    except OSError:  # it is gone already; the first operation says why
        return "", 0
