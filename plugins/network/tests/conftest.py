"""Fixtures shared by the tests of this plugin."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from plugin_network import NetworkProvider


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provider() -> AsyncIterator[NetworkProvider]:
    provider = NetworkProvider()
    await provider.initialize()
    yield provider
    await provider.cleanup()


@pytest.fixture
def open_descriptors() -> Callable[[], set[tuple[str, str]]]:
    def read() -> set[tuple[str, str]]:
        found = set()
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                found.add((descriptor, os.readlink(f"/proc/self/fd/{descriptor}")))
            except FileNotFoundError:  # the descriptor of the listing itself
                continue
        return found

    return read


@pytest.fixture
def full_backlog() -> Iterator[tuple[str, int]]:
    """Host and port of a listener whose queue is full, so that connecting to it hangs."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(address)
        yield address
        for one in waiting:
            one.close()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, so nobody else can take it, but not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
