"""`Socket`: a port of this machine, for streams to be accepted on or for datagrams."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.lowlevel

from framework import Resource
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_network.address import SocketAddress, check_allowed, check_host, check_port, host_and_port, place, resolve
from plugin_network.connecting import refusal
from plugin_network.settings import NetworkSettings
from plugin_network.slots import Slots
from plugin_network.stream import Stream

DATAGRAM_LIMIT = 65536
"""More bytes than any datagram can hold."""

R = TypeVar("R")

RawSocket = socket.socket  # `Socket` has a property of the name `socket`, which hides the module in its signatures

Data = bytes | bytearray | memoryview


class AcceptedStream(Stream):
    """A connection that was accepted. Close it with `aclose` or `async with`; releasing its socket closes it too."""

    def __init__(self, sock: socket.socket, buffer_size: int, subject: str, home: Socket) -> None:
        super().__init__(sock, buffer_size, subject)
        self._home = home

    async def aclose(self) -> None:
        """Close the connection; closing it again does nothing."""
        if not self._closed:
            try:
                await self._disconnect()
            finally:
                self._home.forget(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class Socket(Resource):
    """A bound socket: `accept` connections when it is for TCP, `send_to` and `receive_from` when it is for UDP.

    Args:
        sock: A bound non-blocking socket, which the resource now owns; a listening one for TCP.
        buffer_size: Buffer of each accepted stream, or the largest datagram taken, in bytes.
        subject: What this is, for messages.
        slots: Where accepted streams are counted; this socket's own slot was taken already.
        settings: Says which hosts datagrams may go to.
    """

    def __init__(
        self, sock: socket.socket, buffer_size: int, subject: str, slots: Slots, settings: NetworkSettings
    ) -> None:
        self._socket = sock
        self._buffer_size = buffer_size
        self._subject = subject
        self._slots = slots
        self._settings = settings
        self._streams: set[AcceptedStream] = set()
        self._turn = asyncio.Lock()
        self._closed = False
        self.address: SocketAddress = host_and_port(sock.getsockname())
        self.protocol = "tcp" if sock.type == socket.SOCK_STREAM else "udp"

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
            ResourceLimitError: No descriptor is left, or `max_connections` are open; the caller stays in the queue.
            ResourceError: The socket was closed.
        """
        self._check_protocol("tcp", "accept() is for tcp; use receive_from().")
        subject = f"a connection to {self._subject}"
        async with self._turn:
            while True:
                await self._until(anyio.wait_readable)
                self._slots.take(subject)
                try:
                    stream = AcceptedStream(self._accepted(), self._buffer_size, subject, self)
                except BaseException as error:
                    self._slots.give_back()
                    if not isinstance(error, (BlockingIOError, ConnectionError)):  # the peer gave up before we came
                        raise
                else:
                    self._streams.add(stream)
                    return stream

    async def send_to(self, data: Data, address: SocketAddress) -> None:
        """Send one datagram to a host and port; whether it arrives, UDP does not say.

        Raises:
            InvalidRequestError: This is a TCP socket, the datagram is too large, or the address is none.
            PolicyError: The configuration does not allow the host.
            ResourceUnavailableError: The host does not resolve or cannot be reached.
            ResourceError: The socket was closed.
        """
        self._check_protocol("udp", "send_to() is for udp; accept() a stream and send() on it.")
        host, port = address
        check_host(self._subject, host)
        check_port(self._subject, port)
        check_allowed(self._subject, host, self._settings.allowed_hosts)
        family = self._socket.family
        # resolved here, because sendto would look a name up while the whole event loop waits
        targets = [where for one, where in await resolve(self._subject, host, port, socket.SOCK_DGRAM) if one == family]
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
            InvalidRequestError: This is a TCP socket.
            ResourceLimitError: The datagram was larger than this socket's size; it is lost.
            ResourceError: The socket was closed.
        """
        self._check_protocol("udp", "receive_from() is for udp; accept() a stream and receive() from it.")
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
        self._slots.give_back()

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            anyio.notify_closing(self._socket)
            try:
                # whoever was woken must have let go of the descriptor before its number can be another socket's
                await anyio.lowlevel.cancel_shielded_checkpoint()
            finally:
                self._socket.close()
                self._slots.give_back()
        for stream in list(self._streams):
            await stream.aclose()

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
        try:
            await ready(self._socket)
        except anyio.ClosedResourceError as error:
            raise self._gone() from error

    def _check_open(self) -> None:
        if self._closed:
            raise self._gone()

    def _gone(self) -> ResourceError:
        return ResourceError(f"{self._subject} was closed.", "Acquire a new one.")

    def _check_protocol(self, wanted: str, remedy: str) -> None:
        if self.protocol != wanted:
            raise InvalidRequestError(f"{self._subject} is for {self.protocol}.", remedy)
