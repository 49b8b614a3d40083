"""`TcpConnection`: a connection that was made to another host."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from types import TracebackType

from framework import Resource, Usage
from framework.errors import ResourceError
from plugin_network.stream import Stream


class TcpConnection(Stream, Resource):
    """One TCP connection; `local` and `peer` are its two ends, `tls_version` says how it is secured, if it is.

    It is closed when it is released, unless it was asked for with `reuse` and is as good as new. Its status is `error`
    once the peer is lost.

    Args:
        sock: A connected non-blocking socket, which the connection now owns.
        buffer_size: Most bytes received at once, and most bytes of a line.
        subject: What this is, for messages.
        on_close: Called once when it is released.
        keep: Takes the socket for reuse, and says whether it did; None where it must be closed.
    """

    def __init__(
        self,
        sock: socket.socket,
        buffer_size: int,
        subject: str,
        on_close: Callable[[], None],
        keep: Callable[[socket.socket], bool] | None = None,
    ) -> None:
        super().__init__(sock, buffer_size, subject)
        self._on_close = on_close
        self._keep = keep

    def discard(self) -> None:
        """Have it closed on release, though it was asked for with `reuse`: the peer may still have something to say."""
        self._spoilt = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()  # nobody knows where in the conversation it happened
        await super().__aexit__(kind, error, traceback)

    def _close(self) -> Awaitable[None] | None:
        if self._closed:
            return None
        self._on_close()
        if self._keep is not None and self._is_idle() and self._keep(self._socket):
            self._closed = True
            return None
        return self._disconnect()

    def _is_idle(self) -> bool:
        waiting = self._receiving.locked() or self._sending.locked()
        return not (waiting or self._spoilt or self._asked or self._kept)

    def _lost(self, error: OSError) -> ResourceError:
        if self.is_allocated():
            self.mark(Usage.ERROR)
        return super()._lost(error)
