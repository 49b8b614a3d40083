"""`TcpConnection`: a connection that was made to another host."""

from __future__ import annotations

import socket
from collections.abc import Callable

from framework import Resource, Usage
from framework.errors import ResourceError
from plugin_network.stream import Stream


class TcpConnection(Stream, Resource):
    """One TCP connection; `local` and `peer` are its two ends. It is closed when it is released.

    Its status is `error` once the peer is lost.
    """

    def __init__(self, sock: socket.socket, buffer_size: int, subject: str, on_close: Callable[[], None]) -> None:
        super().__init__(sock, buffer_size, subject)
        self._on_close = on_close

    async def _close(self) -> None:
        if not self._closed:
            try:
                await self._disconnect()
            finally:
                self._on_close()

    def _lost(self, error: OSError) -> ResourceError:
        if self.is_allocated():
            self.mark(Usage.ERROR)
        return super()._lost(error)
