"""TCP connections, listening sockets and datagram sockets as resources."""

from plugin_network.connection import TcpConnection
from plugin_network.provider import NetworkProvider
from plugin_network.settings import NetworkSettings
from plugin_network.sockets import AcceptedStream, Socket
from plugin_network.stream import Stream

__all__ = ["AcceptedStream", "NetworkProvider", "NetworkSettings", "Socket", "Stream", "TcpConnection"]
