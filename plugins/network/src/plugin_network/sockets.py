"""`Socket`: a port of this machine, for streams to be accepted on or for datagrams."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.lowlevel

from framework import Resource
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_network.address import SocketAddress, check_host, check_port, host_and_port, place, resolve
from plugin_network.allowing import AllowList
from plugin_network.connecting import refusal
from plugin_network.stream import Stream
from plugin_network.unix import SocketFile

DATAGRAM_LIMIT = 65536
"""More bytes than any datagram can hold."""

R = TypeVar("R")

RawSocket = socket.socket  # `Socket` has a property of the name `socket`, which hides the module in its signatures

Data = bytes | bytearray | memoryview


class AcceptedStream(Stream):
    """A connection that was accepted. Close it with `aclose` or `async with`; releasing its socket closes it too.

    One that nobody refers to any more closes by itself.
    """

    def __init__(self, sock: socket.socket, buffer_size: int, subject: str, home: Socket) -> None:
        super().__init__(sock, buffer_size, subject)
        self._home = home  # a listener is not given up while one of its streams is in use

    async def aclose(self) -> None:
        """Close the connection; closing it again does nothing."""
        closing = self._disconnect()
        self._home.forget(self)
        if closing is not None:
            await closing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._socket.close()


class Socket(Resource):
    """A bound socket: `accept` connections to it, or `send_to` and `receive_from` when it is for UDP.

    Args:
        sock: A bound non-blocking socket, which the resource now owns; a listening one unless it is for UDP.
        buffer_size: Buffer of each accepted stream, or the largest datagram taken, in bytes.
        subject: What this is, for messages.
        allowed: Says which hosts datagrams may go to.
        max_accepted: Most accepted streams that are open at once.
        file: What to remove from the file system on release, for a Unix socket with a path.
    """

    def __init__(
        self,
        sock: socket.socket,
        buffer_size: int,
        subject: str,
        allowed: AllowList,
        max_accepted: int,
        file: SocketFile | None = None,
    ) -> None:
        self._socket = sock
        self._buffer_size = buffer_size
        self._subject = subject
        self._allowed = allowed
        self._max_accepted = max_accepted
        self._file = file
        self._streams: weakref.WeakSet[AcceptedStream] = weakref.WeakSet()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closed = False
        self.address: SocketAddress = host_and_port(sock.getsockname())
        self.protocol = _protocol(sock)
        self.path: str = _path(sock, file)

    @property
    def port(self) -> int:
        """The port it is bound to, also when 0 was asked for."""
        return self.address[1]

    @property
    def socket(self) -> RawSocket:
        """The non-blocking socket itself, for servers that bring their own loop; it stays ours to close.

        Raises:
            ResourceError: It was closed.
        """
        self._check_open()
        return self._socket

    @property
    def streams(self) -> frozenset[AcceptedStream]:
        """The accepted streams that are open."""
        return frozenset(self._streams)

    async def accept(self) -> AcceptedStream:
        """Wait for a connection and return it.

        Raises:
            InvalidRequestError: This is a UDP socket.
            ResourceLimitError: No descriptor is left, or `max_accepted` are open; who connects stays in the queue.
            ResourceError: The socket was closed.
        """
        if self.protocol == "udp":
            raise self._wrong_protocol("accept() is for listeners; use receive_from().")
        async with self._turn:
            while True:
                await self._until(anyio.wait_readable)
                if len(self._streams) >= self._max_accepted:
                    raise self._too_many()
                try:
                    accepted = self._accepted()
                except (BlockingIOError, ConnectionError):  # the peer gave up before we came
                    continue
                stream = AcceptedStream(accepted, self._buffer_size, f"a connection to {self._subject}", self)
                self._streams.add(stream)
                return stream

    async def send_to(self, data: Data, address: SocketAddress) -> None:
        """Send one datagram to a host and port; whether it arrives, UDP does not say.

        Raises:
            InvalidRequestError: This is a listener, the datagram is too large, or the address is none.
            PolicyError: The configuration does not allow the host.
            ResourceUnavailableError: The host does not resolve or cannot be reached.
            ResourceError: The socket was closed.
        """
        if self.protocol != "udp":
            raise self._wrong_protocol("send_to() is for udp; accept() a stream and send() on it.")
        host, port = address
        check_host(self._subject, host)
        check_port(self._subject, port)
        self._allowed.check(self._subject, host)
        family = self._socket.family
        # resolved here, because sendto would look a name up while the whole event loop waits
        found = await resolve(self._subject, host, port, socket.SOCK_DGRAM)
        targets = [where for one, where in self._allowed.permitted(self._subject, host, found) if one == family]
        if not targets:
            raise ResourceUnavailableError(
                f"{self._subject} is bound to {self.address[0]}, from where {host!r} has no address of its family.",
                "Send from a socket that is bound to an address of the other family.",
            )
        try:
            await self._transfer(functools.partial(self._socket.sendto, data, targets[0]), anyio.wait_writable)
        except OSError as error:
            raise refusal(f"{self._subject} cannot send {len(data)} bytes to {place(host, port)}", error) from error

    async def receive_from(self) -> tuple[bytes, SocketAddress]:
        """Wait for a datagram and return it with the host and port it came from.

        Raises:
            InvalidRequestError: This is a listener.
            ResourceLimitError: The datagram was larger than this socket's size; it is lost.
            ResourceError: The socket was closed.
        """
        if self.protocol != "udp":
            raise self._wrong_protocol("receive_from() is for udp; accept() a stream and receive() from it.")
        receive = functools.partial(self._socket.recvmsg, min(self._buffer_size, DATAGRAM_LIMIT))
        async with self._turn:
            data, _, flags, sender = await self._transfer(receive, anyio.wait_readable)
        if flags & socket.MSG_TRUNC:
            raise ResourceLimitError(
                f"{self._subject} received a datagram larger than its size, {self._buffer_size} bytes; it is lost.",
                "Ask for a larger size.",
            )
        return data, host_and_port(sender)

    def forget(self, stream: AcceptedStream) -> None:
        """Take note that an accepted stream was closed."""
        self._streams.discard(stream)

    def _close(self) -> Awaitable[None] | None:
        if self._closed and not self._streams:
            return None
        if not self._closed and self._file is not None:
            self._file.remove()  # while the socket is open its inode is no other's
        waited_for, self._closed = self._waiting and not self._closed, True
        closing = [one for one in (stream._disconnect() for stream in list(self._streams)) if one]  # noqa: SLF001
        self._streams.clear()
        if waited_for or closing:
            anyio.notify_closing(self._socket)
            return self._close_later(closing)
        self._socket.close()
        return None

    async def _close_later(self, closing: list[Awaitable[None]]) -> None:
        try:
            # whoever was woken must have let go of the descriptor before its number can be another socket's
            await anyio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._socket.close()
            for one in closing:
                await one

    def _accepted(self) -> RawSocket:
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            raise
        except OSError as error:
            raise refusal(f"{self._subject} cannot accept", error) from error
        accepted.settimeout(0)
        return accepted

    async def _transfer(self, operation: Callable[[], R], ready: Callable[[RawSocket], Awaitable[None]]) -> R:
        await anyio.lowlevel.checkpoint()  # datagrams that keep coming must not starve other tasks
        while True:
            self._check_open()
            try:
                return operation()
            except BlockingIOError:
                await self._until(ready)

    async def _until(self, ready: Callable[[RawSocket], Awaitable[None]]) -> None:
        self._check_open()
        self._waiting += 1
        try:
            await ready(self._socket)
        except anyio.ClosedResourceError as error:
            raise self._gone() from error
        finally:
            self._waiting -= 1

    def _check_open(self) -> None:
        if self._closed:
            raise self._gone()

    def _gone(self) -> ResourceError:
        return ResourceError(f"{self._subject} was closed.", "Acquire a new one.")

    def _wrong_protocol(self, remedy: str) -> InvalidRequestError:
        return InvalidRequestError(f"{self._subject} is for {self.protocol}.", remedy)

    def _too_many(self) -> ResourceLimitError:
        return ResourceLimitError(
            f"{self._subject} has {len(self._streams)} connections open; network.max_accepted allows"
            f" {self._max_accepted}.",
            "Close one, or raise the setting.",
        )


def _protocol(sock: RawSocket) -> str:
    if sock.family == socket.AF_UNIX:
        return "unix"
    return "tcp" if sock.type == socket.SOCK_STREAM else "udp"


def _path(sock: RawSocket, file: SocketFile | None) -> str:
    if file is not None:
        return file.path
    bound = sock.getsockname()
    return f"@{os.fsdecode(bound[1:])}" if isinstance(bound, bytes) else ""
