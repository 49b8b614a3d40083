"""Hosts and ports: what a request may say, and what a name resolves to."""

from __future__ import annotations

import contextlib
import math
import socket
from typing import Any

import anyio

from framework.errors import InvalidRequestError, ResourceUnavailableError

HOST_LIMIT = 253
"""Most characters in a host name, by the rules of DNS."""

PORT_LIMIT = 65535

SocketAddress = tuple[str, int]
Where = SocketAddress | tuple[str, int, int, int]
"""As the system takes it: with the number of the network interface, where the host is reached by one only (fe80::…)."""
Address = tuple[socket.AddressFamily, Where]


def check_host(subject: str, host: str) -> None:
    """Refuse what cannot be a host name or an address.

    Raises:
        InvalidRequestError: It is empty, too long, or has spaces or control characters in it.
    """
    if 0 < len(host) <= HOST_LIMIT and host.isprintable() and " " not in host:
        return
    raise InvalidRequestError(
        f"{subject} got the host {host[:60]!r}; allowed: a host name or address of 1 to {HOST_LIMIT} characters.",
        "Pass a name such as 'localhost' or an address such as '127.0.0.1'.",
    )


def check_port(subject: str, port: int, *, least: int = 1) -> None:
    """Refuse a port outside `least` to 65535.

    Raises:
        InvalidRequestError: It is outside.
    """
    if not least <= port <= PORT_LIMIT:
        raise InvalidRequestError(
            f"{subject} got port {port}; allowed: {least} to {PORT_LIMIT}.", "Choose another port."
        )


def check_timeout(subject: str, timeout: float) -> None:
    """Refuse a time that is not a positive number of seconds.

    Raises:
        InvalidRequestError: It is zero, negative or not a number.
    """
    if math.isnan(timeout) or timeout <= 0:
        raise InvalidRequestError(
            f"{subject} got timeout={timeout}; allowed: more than 0 seconds.", "Leave it out to use the setting."
        )


async def resolve(subject: str, host: str, port: int, kind: socket.SocketKind) -> list[Address]:
    """Return the addresses of a host, best first.

    Raises:
        InvalidRequestError: The name is one that DNS cannot have.
        ResourceUnavailableError: The name does not resolve.
    """
    try:
        # a numeric address needs no look-up and so no thread
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
        return [(family, _where(where, port)) for family, _, _, _, where in found]
    except (socket.gaierror, UnicodeError):
        pass
    try:
        looked_up = await anyio.getaddrinfo(host, port, type=kind)
    except socket.gaierror as error:
        raise ResourceUnavailableError(
            f"{subject} cannot use {place(host, port)}: the name does not resolve ({error.strerror}).",
            "Check its spelling and this machine's name service.",
        ) from error
    except UnicodeError as error:
        raise InvalidRequestError(
            f"{subject} got the host {host[:60]!r}, which no host can be called ({error}).", "Check its spelling."
        ) from error
    addresses = [(family, _where(where, port)) for family, _, _, _, where in looked_up]
    return list(dict.fromkeys(addresses))  # a hosts file may name an address twice


def _where(found: tuple[Any, ...], port: int) -> Where:
    interface = found[3] if len(found) > 3 else 0
    return (str(found[0]), port, 0, interface) if interface else (str(found[0]), port)


def place(host: str, port: int) -> str:
    """Return host and port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(address: object) -> SocketAddress:
    """Return host and port of a socket's own address; ("", 0) where it has none, as that of a Unix socket."""
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else ("", 0)


def plain(host: str) -> str:
    """Return a host name the way all its spellings have in common."""
    if not host.isascii():
        with contextlib.suppress(UnicodeError):  # a name that DNS cannot have is refused when it is looked up
            host = host.encode("idna").decode("ascii")
    return host.rstrip(".").lower()
