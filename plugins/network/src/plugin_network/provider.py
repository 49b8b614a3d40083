"""`NetworkProvider`: connects, and takes ports of this machine."""

from __future__ import annotations

from framework import Ledger, ResourceProvider, check_size, creates
from framework.errors import InvalidRequestError
from plugin_network.address import check_allowed, check_host, check_port, check_timeout
from plugin_network.binding import PROTOCOLS, bind
from plugin_network.connecting import connect
from plugin_network.connection import TcpConnection
from plugin_network.settings import NetworkSettings
from plugin_network.slots import Slots
from plugin_network.sockets import Socket

BUFFER_LIMIT = 1 << 30
"""Largest buffer of one stream in bytes; more is a mistake in a unit."""


class NetworkProvider(ResourceProvider):
    """Creates `network.tcp` and `network.socket`.

    Args:
        settings: What the configuration says; the defaults when none are given.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name = "network"

    def __init__(self, settings: NetworkSettings | None = None, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self.settings = settings or NetworkSettings()
        self._slots = Slots(self.settings.max_connections)

    @property
    def open_sockets(self) -> int:
        """How many sockets are open or being opened: connections made, accepted, and listeners."""
        return self._slots.taken

    @creates("network.tcp")
    async def create_tcp_connection(
        self, name: str, host: str, port: int, size: int = 65536, timeout: float | None = None
    ) -> TcpConnection:
        """A TCP connection to a host and port.

        Every address of the host is tried; IPv4 and IPv6 take turns.

        Args:
            name: Name of the lease.
            host: Name or address.
            port: Port, 1 to 65535.
            size: Bytes of the connection's buffer: most that one call receives, and the longest line.
            timeout: Seconds for looking up the name and connecting; the setting `connect_timeout` when left out.

        Raises:
            InvalidRequestError: Host, port, size or timeout is out of range.
            PolicyError: The setting `allowed_hosts` does not list the host.
            ResourceUnavailableError: The name does not resolve, nobody listens, or it took too long.
            ResourceLimitError: The size is larger than 1 GiB, or no socket is left.
        """
        subject = f"network.tcp {name!r}"
        seconds = self.settings.connect_timeout if timeout is None else timeout
        check_port(subject, port)
        check_timeout(subject, seconds)
        self._check(subject, host, size)
        self._slots.take(subject)
        try:
            sock = await connect(subject, host, port, seconds)
            return TcpConnection(sock, size, subject, self._slots.give_back)
        except BaseException:
            self._slots.give_back()
            raise

    @creates("network.socket")
    async def create_socket(
        self, name: str, host: str = "127.0.0.1", port: int = 0, protocol: str = "tcp", size: int = 65536
    ) -> Socket:
        """A port of this machine: a TCP listener or a UDP socket.

        Args:
            name: Name of the lease.
            host: Name or address of this machine to bind to.
            port: Port, 1 to 65535, or 0 for a free one.
            protocol: "tcp" for a listener, "udp" for datagrams.
            size: Bytes of each accepted stream's buffer (tcp), or of the largest datagram taken (udp).

        Raises:
            InvalidRequestError: Host, port, protocol or size is out of range.
            PolicyError: The setting `allowed_hosts` does not list the host.
            ResourceUnavailableError: The port is in use, or the host is not this machine.
            ResourceLimitError: The size is larger than 1 GiB, or no socket is left.
        """
        subject = f"network.socket {name!r}"
        check_port(subject, port, least=0)
        if protocol not in PROTOCOLS:
            raise InvalidRequestError(f"{subject} got protocol={protocol!r}; allowed: {', '.join(PROTOCOLS)}.")
        self._check(subject, host, size)
        self._slots.take(subject)
        try:
            sock = await bind(subject, host, port, protocol)
            return Socket(sock, size, subject, self._slots, self.settings)
        except BaseException:
            self._slots.give_back()
            raise

    def _check(self, subject: str, host: str, size: int) -> None:
        check_host(subject, host)
        if size < 1:
            raise InvalidRequestError(
                f"{subject} got size {size}; a buffer needs at least 1 byte.", "Leave size out for 65536."
            )
        check_size(subject, size, at_most=BUFFER_LIMIT, of="one buffer")
        check_allowed(subject, host, self.settings.allowed_hosts)
