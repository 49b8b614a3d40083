"""Connecting: every address of a host is tried, the next one before the last one has timed out (RFC 8305)."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_network.address import Address, place, resolve
from plugin_network.allowing import AllowList
from plugin_network.securing import Contexts, Tls, failure, secure

HEAD_START = 0.25
"""Seconds that one address is tried alone before the next one is tried as well; RFC 8305 recommends this."""

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What the system answers when it has run out of descriptors or memory, whatever the address."""

REMEDIES = {
    errno.ECONNREFUSED: "Start what should listen there, or check host and port.",
    errno.EADDRINUSE: "Choose another port, or 0 for a free one.",
    errno.EADDRNOTAVAIL: "Choose an address of this machine, such as 127.0.0.1.",
    errno.EACCES: "Choose a port above 1023, or run with the right to use it.",
}
"""Ways out of what the system answers most often."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to connect to.

    Args:
        host: Name or address.
        port: Port, 1 to 65535.
        timeout: Seconds for looking up the name, connecting and the handshake of TLS together.
        tls: How to secure the connection; None leaves it plain.
    """

    host: str
    port: int
    timeout: float
    tls: Tls | None = None


async def connect(subject: str, target: Target, allowed: AllowList, contexts: Contexts) -> socket.socket:
    """Return a connected non-blocking socket.

    Args:
        subject: What wants it, for messages.
        target: Where it leads.
        allowed: Which addresses the name may resolve to.
        contexts: Where certificates are kept ready.

    Raises:
        InvalidRequestError: The name is one that DNS cannot have, or a file for TLS cannot be used.
        PolicyError: The name resolves to addresses that are not allowed.
        ResourceUnavailableError: The name does not resolve, nobody listens, the handshake failed, or it took too long.
        ResourceLimitError: No descriptor or memory is left.
    """
    host, port, tls = target.host, target.port, target.tls
    connected: socket.socket | None = None
    waiting_for = "answer"
    try:
        with anyio.move_on_after(target.timeout):
            context = await contexts.get(subject, tls) if tls else None
            found = allowed.permitted(subject, host, await resolve(subject, host, port, socket.SOCK_STREAM))
            plain = await connect_any(found)
            if tls and context:
                waiting_for = "end of the handshake of TLS"
                connected = await secure(plain, context, tls.server_name or host.rstrip("."))
            else:
                connected = plain
    except ssl.SSLError as error:
        raise failure(f"{subject} cannot connect to {place(host, port)}", error, connected=False) from error
    except OSError as error:
        during = " during the handshake of TLS" if waiting_for != "answer" else ""
        raise refusal(f"{subject} cannot connect to {place(host, port)}{during}", error) from error
    if connected is None:
        raise ResourceUnavailableError(
            f"{subject} got no {waiting_for} from {place(host, port)} within {target.timeout:g} s.",
            "Check that the host is up and not behind a firewall, or pass a longer timeout.",
        )
    return connected


def refusal(problem: str, error: OSError) -> ResourceError:
    """Return the error to raise for what the system answered."""
    text = f"{problem}: {error.strerror or error}."
    if error.errno in EXHAUSTED:
        return ResourceLimitError(text, "Release sockets or files, or raise the limit (ulimit -n).")
    if error.errno == errno.EMSGSIZE:
        return InvalidRequestError(text, "Send less at a time.")
    return ResourceUnavailableError(
        text, REMEDIES.get(error.errno or 0, "Check host, port and network, then try again.")
    )


async def connect_any(addresses: list[Address]) -> socket.socket:
    """Return a socket connected to whichever address answers first; whatever else was begun is closed.

    Raises:
        OSError: None answered; the error is that of the first one tried.
    """
    if len(addresses) == 1:
        return await _connect_one(addresses[0])
    winner: list[socket.socket] = []
    failures: list[OSError] = []

    async def attempt(address: Address, ended: anyio.Event) -> None:
        try:
            connected = await _connect_one(address)
        except OSError as error:
            failures.append(error)
            ended.set()
            return
        winner.append(connected)
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for address in _alternating(addresses):
                ended = anyio.Event()
                group.start_soon(attempt, address, ended)
                with anyio.move_on_after(HEAD_START):
                    await ended.wait()
    except BaseException:
        _close_all(winner)
        raise
    if winner:
        _close_all(winner[1:])
        return winner[0]
    raise failures[0]


async def _connect_one(address: Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        code = sock.connect_ex(where)
        if code == errno.EINPROGRESS:
            code = sock.connect_ex(where)  # a peer on this machine has answered by now, which saves a turn of the loop
        if code == errno.EALREADY:
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        elif code == errno.EISCONN:
            code = 0
        # a free local port may be picked as the source of a connection to itself, which TCP then grants
        if not code and sock.getsockname() == sock.getpeername():
            code = errno.ECONNREFUSED
        if code:
            raise OSError(code, os.strerror(code))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _alternating(addresses: list[Address]) -> list[Address]:
    """Return the addresses with their families taking turns, so that a dead IPv6 route costs one head start."""
    same = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    return [one for pair in itertools.zip_longest(same, other) for one in pair if one is not None]


def _close_all(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()
