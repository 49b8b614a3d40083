"""Binding: taking a port of this machine."""

from __future__ import annotations

import socket

from plugin_network.address import SocketAddress, place, resolve
from plugin_network.connecting import refusal

PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
"""What the protocol of a request may be."""


async def bind(subject: str, host: str, port: int, protocol: str) -> socket.socket:
    """Return a non-blocking socket bound to the first address of a host that works; one for TCP listens.

    Raises:
        InvalidRequestError: The name is one that DNS cannot have.
        ResourceUnavailableError: The port is in use, or the host is not this machine.
        ResourceLimitError: No descriptor or memory is left.
    """
    failures: list[OSError] = []
    for family, where in await resolve(subject, host, port, PROTOCOLS[protocol]):
        try:
            return _bound(family, where, protocol)
        except OSError as error:
            failures.append(error)
    raise refusal(f"{subject} cannot use {place(host, port)} for {protocol}", failures[0]) from failures[0]


def _bound(family: socket.AddressFamily, where: SocketAddress, protocol: str) -> socket.socket:
    sock = socket.socket(family, PROTOCOLS[protocol])
    try:
        sock.settimeout(0)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # connections of a former listener that linger in TIME_WAIT must not keep the port; a live one still does
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        if protocol == "tcp":
            sock.listen(socket.SOMAXCONN)
    except BaseException:
        sock.close()
        raise
    return sock
