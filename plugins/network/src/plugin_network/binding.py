"""Binding: taking a port of this machine."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from plugin_network.address import Where, place, resolve
from plugin_network.allowing import AllowList
from plugin_network.connecting import refusal

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True, slots=True)
class Place:
    """Where to bind.

    Args:
        host: Name or address of this machine.
        port: Port, or 0 for a free one.
        protocol: "tcp" or "udp".
        backlog: Most connections that wait to be accepted.
        reuse_address: Whether to take a port that is not quite free; None for what is usual.
    """

    host: str
    port: int
    protocol: str
    backlog: int
    reuse_address: bool | None = None

    def bound(self, family: socket.AddressFamily, where: Where) -> socket.socket:
        """Return a non-blocking socket bound to one address.

        Raises:
            OSError: The system refuses it.
        """
        tcp = self.protocol == "tcp"
        sock = socket.socket(family, KINDS[self.protocol])
        try:
            sock.settimeout(0)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # for tcp, connections of a former listener that linger in TIME_WAIT must not keep the port, and a live one
            # still does; for udp it would let two programs share the port, of whom one gets the datagrams
            if tcp if self.reuse_address is None else self.reuse_address:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
            if tcp:
                sock.listen(self.backlog)
        except BaseException:
            sock.close()
            raise
        return sock


async def bind(subject: str, wanted: Place, allowed: AllowList) -> socket.socket:
    """Return a non-blocking socket bound to the first address of a host that works; one for TCP listens.

    Raises:
        InvalidRequestError: The name is one that DNS cannot have.
        PolicyError: The name resolves to addresses that are not allowed.
        ResourceUnavailableError: The port is in use, or the host is not this machine.
        ResourceLimitError: No descriptor or memory is left.
    """
    found = await resolve(subject, wanted.host, wanted.port, KINDS[wanted.protocol])
    failures: list[OSError] = []
    for family, where in allowed.permitted(subject, wanted.host, found):
        try:
            return wanted.bound(family, where)
        except OSError as error:
            failures.append(error)
    problem = f"{subject} cannot use {place(wanted.host, wanted.port)} for {wanted.protocol}"
    raise refusal(problem, failures[0]) from failures[0]
