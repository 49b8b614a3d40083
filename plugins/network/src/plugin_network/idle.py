"""`IdleConnections`: connections that were given back and may be lent again."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time

from plugin_network.securing import close, is_quiet

Key = tuple[str, int, object]
"""Host as all its spellings have it in common, port, and how it is secured, with the files as they were then."""

PLAIN_BYTES = 1024
SECURED_BYTES = 8192
"""About what one idle connection costs this process, as measured with 300 of them."""


class IdleConnections:
    """Keeps connections for a while, and hands out only what is connected and silent. A cleanup participant.

    Args:
        limit: Most that are kept.
        per_key: Most that are kept for one key.
        seconds: How long each is kept.
    """

    name = "network"

    def __init__(self, limit: int, per_key: int, seconds: float) -> None:
        self._limit = limit
        self._per_key = per_key
        self._seconds = seconds
        self._kept: dict[Key, list[tuple[socket.socket, float]]] = {}
        self._lock = threading.Lock()  # a cleanup may be requested in any thread
        self._timer: asyncio.TimerHandle | None = None
        self._process = os.getpid()
        self._open = False
        self.reused = 0

    def __len__(self) -> int:
        return sum(map(len, list(self._kept.values())))

    def count(self, host: str) -> int:
        """Return how many are kept for a host."""
        with self._lock:
            return sum(len(kept) for (one, _, _), kept in self._kept.items() if one == host)

    def take(self, key: Key) -> socket.socket | None:
        """Return the healthy connection that was given back last, if there is one; what is not healthy is closed."""
        self._check_process()
        while (found := self._pop(key, -1)) is not None:
            sock, until = found
            if time.monotonic() < until and is_quiet(sock):
                self.reused += 1
                return sock
            close(sock)
        return None

    def keep(self, key: Key, sock: socket.socket) -> bool:
        """Keep a connection that is given back, and return true; false, and it is not kept, where it is not healthy."""
        self._check_process()
        if not (self._open and self._limit and self._per_key and is_quiet(sock)):
            return False
        with self._lock:
            kept = self._kept.pop(key, [])
            kept.append((sock, time.monotonic() + self._seconds))
            self._kept[key] = kept  # at the end: the keys are in the order of their last use
        if len(kept) > self._per_key:
            self._close_first(key)
        elif len(self) > self._limit:
            self._close_first(next(iter(self._kept), key))  # a cleanup in another thread may have closed all by now
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return True

    def make_room(self, host: str) -> bool:
        """Close the oldest connection to a host; false where there is none."""
        return any(self._close_first(key) for key in list(self._kept) if key[0] == host)

    def close_all(self) -> int:
        """Close every connection, and return about how many bytes that freed."""
        self._check_process()
        freed = 0
        for key in list(self._kept):
            while (found := self._pop(key, -1)) is not None:
                close(found[0])
                freed += SECURED_BYTES if isinstance(found[0], ssl.SSLSocket) else PLAIN_BYTES
        return freed

    def start(self) -> None:
        """Keep what is given back from now on."""
        self._open = True

    def stop(self) -> None:
        """Close every connection, and keep no more until started again."""
        self._open = False
        self.close_all()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        """Close every connection, which are made again at little cost; return about how many bytes that freed."""
        return self.close_all()

    def _expire(self) -> None:
        now, self._timer = time.monotonic(), None
        with self._lock:
            old = [(key, one) for key, kept in self._kept.items() for one in kept if one[1] <= now]
            for key, one in old:
                self._kept[key].remove(one)
            self._kept = {key: kept for key, kept in self._kept.items() if kept}
            first = min((until for kept in self._kept.values() for _, until in kept), default=None)
        for _, (sock, _) in old:
            close(sock)
        if first is not None:
            self._timer = asyncio.get_running_loop().call_later(first - now, self._expire)

    def _close_first(self, key: Key) -> bool:
        found = self._pop(key, 0)
        if found is not None:
            close(found[0])
        return found is not None

    def _pop(self, key: Key, index: int) -> tuple[socket.socket, float] | None:
        with self._lock:
            kept = self._kept.get(key)
            if not kept:
                return None
            found = kept.pop(index)
            if not kept:
                del self._kept[key]
            return found

    def _check_process(self) -> None:
        """In a forked child let go of what is its parent's, without a word to the peers."""
        if self._process == os.getpid():
            return
        inherited, self._kept = self._kept, {}
        self._lock = threading.Lock()  # another thread of the parent may have held it
        self._timer = None
        self._process = os.getpid()
        for kept in inherited.values():
            for sock, _ in kept:
                sock.close()
