"""`NetworkProvider`: connects, and takes ports of this machine."""

from __future__ import annotations

import errno
import functools
import socket
from collections import Counter
from collections.abc import Iterable

from framework import Ledger, Quota, ResourceProvider, check_size, creates
from framework.errors import InvalidRequestError, ResourceLimitError
from plugin_network.address import check_host, check_port, check_timeout, plain
from plugin_network.allowing import AllowList
from plugin_network.binding import Place, bind
from plugin_network.connecting import Target, connect
from plugin_network.connection import TcpConnection
from plugin_network.idle import IdleConnections
from plugin_network.securing import Contexts, Tls
from plugin_network.settings import NetworkSettings
from plugin_network.sockets import Socket
from plugin_network.unix import SocketFile, listen

BUFFER_LIMIT = 1 << 30
"""Largest buffer of one stream in bytes; more is a mistake in a unit."""

BACKLOG_LIMIT = 1 << 16
PROTOCOLS = ("tcp", "udp", "unix")


class NetworkProvider(ResourceProvider):
    """Creates `network.tcp` and `network.socket`.

    Args:
        settings: What the configuration says; the defaults when none are given.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name = "network"

    def __init__(self, settings: NetworkSettings | None = None, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self.settings = one = settings or NetworkSettings()
        self.idle = IdleConnections(one.max_idle, one.max_idle_per_host, one.idle_seconds)
        self._allowed = AllowList(one.allowed_hosts)
        self._contexts = Contexts()
        self._connected: Counter[str] = Counter()

    def quotas(self) -> Iterable[Quota]:
        """Return the bound on connections and listeners together."""
        kinds = ("network.tcp", "network.socket")
        return [Quota(kinds=kinds, count=self.settings.max_connections, setting="plugins.network.max_connections")]

    @property
    def accepted(self) -> int:
        """How many accepted connections are open, of all listeners together."""
        return sum(len(one.streams) for one in self.lent() if isinstance(one, Socket))

    @creates("network.tcp")
    async def create_tcp_connection(
        self,
        name: str,
        host: str,
        port: int,
        size: int = 8192,
        timeout: float | None = None,
        reuse: bool = False,
        tls: bool = False,
        tls_ca: str = "",
        tls_certificate: str = "",
        tls_key: str = "",
        tls_server_name: str = "",
        tls_verify: bool = True,
    ) -> TcpConnection:
        """A TCP connection to a host and port, plain or with TLS.

        Every address of the host is tried; IPv4 and IPv6 take turns.

        Args:
            name: Name of the lease.
            host: Name or address.
            port: Port, 1 to 65535.
            size: Bytes of the connection's buffer: most that one call receives, and the longest line.
            timeout: Seconds for looking up the name, connecting and the handshake of TLS; the setting
                `connect_timeout` when left out.
            reuse: Take a connection that was given back, where a healthy one is left, and keep this one for others on
                release, where it is healthy. What was said on it before must not matter to the peer.
            tls: Whether to secure it with TLS, 1.2 or later.
            tls_ca: PEM file of the authorities to trust; those of the system when left out.
            tls_certificate: PEM file of the certificate to show the server, with those that link it to an authority.
            tls_key: PEM file of its unencrypted key, where that is not in the same file.
            tls_server_name: The name that the server's certificate must be for; the host when left out.
            tls_verify: Whether the certificate must be valid; without it anybody in between can read and change all.

        Raises:
            InvalidRequestError: A parameter is out of range, or a file for TLS cannot be used.
            PolicyError: The setting `allowed_hosts` does not list the host, or what it resolves to.
            ResourceUnavailableError: The name does not resolve, nobody listens, TLS failed, or it took too long.
            ResourceLimitError: The size is larger than 1 GiB, no socket is left, or as many connections are open as
                `max_connections_per_host` allows.
        """
        subject = f"network.tcp {name!r}"
        seconds = self.settings.connect_timeout if timeout is None else timeout
        check_port(subject, port)
        check_timeout(subject, seconds)
        self._check(subject, host, size)
        secured = Tls(tls_ca, tls_certificate, tls_key, tls_server_name, tls_verify).check(subject, wanted=tls)
        self._allowed.check(subject, host)
        return await self._connection(subject, Target(host, port, seconds, secured), size, reuse=reuse)

    @creates("network.socket")
    async def create_socket(
        self,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        protocol: str = "tcp",
        size: int = 8192,
        path: str = "",
        backlog: int = 4096,
        reuse_address: bool | None = None,
    ) -> Socket:
        """A place to be reached at: a TCP listener, a UDP socket, or a Unix socket that listens.

        Args:
            name: Name of the lease.
            host: Name or address of this machine to bind to.
            port: Port, 1 to 65535, or 0 for a free one.
            protocol: "tcp" for a listener, "udp" for datagrams, "unix" for a listener on a path.
            size: Bytes of each accepted stream's buffer, or of the largest datagram taken (udp).
            path: Where a Unix socket is found: a free path, or `@` and an abstract name. It is removed on release.
            backlog: Most connections that wait to be accepted; the system may allow less.
            reuse_address: Whether to take a port that lingers; true for tcp and false for udp when left out.

        Raises:
            InvalidRequestError: A parameter is out of range, or does not go with the protocol.
            PolicyError: The setting `allowed_hosts` does not list the host.
            ResourceUnavailableError: The port or path is in use, or the host is not this machine.
            ResourceLimitError: The size is larger than 1 GiB, or no socket is left.
        """
        subject = f"network.socket {name!r}"
        self._check(subject, host, size)
        check_port(subject, port, least=0)
        if not 1 <= backlog <= BACKLOG_LIMIT:
            raise InvalidRequestError(f"{subject} got backlog {backlog}; allowed: 1 to {BACKLOG_LIMIT}.")
        if protocol not in PROTOCOLS:
            raise InvalidRequestError(f"{subject} got protocol={protocol!r}; allowed: {', '.join(PROTOCOLS)}.")
        if bool(path) != (protocol == "unix") or (path and port):
            raise InvalidRequestError(
                f"{subject} got protocol={protocol!r} with path={path!r} and port={port}.",
                "Pass a path for 'unix', and a port for 'tcp' and 'udp'.",
            )
        file: SocketFile | None = None
        if path:
            sock, file = listen(subject, path, backlog, self.token(), self.intend)
        else:
            self._allowed.check(subject, host)
            sock = await bind(subject, Place(host, port, protocol, backlog, reuse_address), self._allowed)
        return Socket(sock, size, subject, self._allowed, self.settings.max_accepted, file)

    async def reclaim(self, path: str) -> None:
        """Remove the Unix socket of a process that died."""
        SocketFile.decode(path).reclaim()

    async def initialize(self) -> None:
        """Make ready to create, and to keep connections for reuse."""
        await super().initialize()
        self.idle.start()

    async def cleanup(self) -> None:
        """Release everything still lent, and close what was kept for reuse."""
        self.idle.stop()
        await super().cleanup()

    async def _connection(self, subject: str, target: Target, size: int, *, reuse: bool) -> TcpConnection:
        host, tls = plain(target.host), target.tls
        key = host, target.port, (tls, tls.files(subject)) if tls and reuse else None
        sock = self.idle.take(key) if reuse else None
        if sock is None:
            self._make_room(subject, host)
        self._connected[host] += 1
        leave = functools.partial(self._leave, host)
        keep = functools.partial(self.idle.keep, key) if reuse else None
        try:
            sock = sock or await self._connect(subject, target)
            return TcpConnection(sock, size, subject, leave, keep)
        except BaseException:
            leave()
            raise

    async def _connect(self, subject: str, target: Target) -> socket.socket:
        try:
            return await connect(subject, target, self._allowed, self._contexts)
        except ResourceLimitError as error:
            short = isinstance(error.__cause__, OSError) and error.__cause__.errno in {errno.EMFILE, errno.ENFILE}
            if not short or not self.idle.close_all():
                raise
        # what is kept in reserve must not be what another connection lacks
        return await connect(subject, target, self._allowed, self._contexts)

    def _make_room(self, subject: str, host: str) -> None:
        limit = self.settings.max_connections_per_host
        if limit is None or self._connected[host] + self.idle.count(host) < limit or self.idle.make_room(host):
            return
        raise ResourceLimitError(
            f"{subject} was refused: {self._connected[host]} connections to {host} are open, and"
            f" network.max_connections_per_host allows {limit}.",
            "Release one, or raise the setting.",
        )

    def _leave(self, host: str) -> None:
        self._connected[host] -= 1
        if not self._connected[host]:
            del self._connected[host]  # hosts come and go, and must not pile up

    def _check(self, subject: str, host: str, size: int) -> None:
        check_host(subject, host)
        if size < 1:
            raise InvalidRequestError(
                f"{subject} got size {size}; a buffer needs at least 1 byte.", "Leave size out for 8192."
            )
        check_size(subject, size, at_most=BUFFER_LIMIT, of="one buffer")
