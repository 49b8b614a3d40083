"""What plugins lend can be used without asyncio, and so can what that returns."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from framework import ResourceManager
from framework.discovery import discover

INSTALLED = set(discover().manifests)


@pytest.fixture
def manager() -> Iterator[ResourceManager]:
    with ResourceManager({"plugins": {one: {} for one in INSTALLED & {"process", "network", "memory"}}}) as manager:
        yield manager


def needs(plugin: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(plugin not in INSTALLED, reason=f"the plugin {plugin} is not in this tree")


@needs("process")
def test_a_child_is_written_to_and_read_line_by_line(manager: ResourceManager) -> None:
    with manager.acquire("process.local", name="cat", command="cat", stdin="pipe") as child:
        child.stdin.write(b"one\ntwo\n")
        child.stdin.close()
        assert list(child.lines()) == [b"one\n", b"two\n"]
        assert child.wait(60) == 0
        assert child.output().stdout == b"one\ntwo\n"


@needs("network")
def test_a_connection_is_accepted_and_used(manager: ResourceManager) -> None:
    with (
        manager.acquire("network.socket", name="server", host="127.0.0.1") as server,
        socket.create_connection(("127.0.0.1", server.port), 60) as client,
    ):
        client.sendall(b"hello\n")
        with server.accept() as stream:
            assert stream.receive_line() == b"hello\n"
            stream.send(b"hi")
        assert client.recv(10) == b"hi"
        assert client.recv(10) == b""
        with manager.acquire("network.tcp", name="one", host="127.0.0.1", port=server.port) as other:
            other.send(b"again\n")
            with pytest.raises(KeyError), server.accept() as stream:  # it does not hide what is raised in the block
                raise KeyError(stream.receive_exactly(6))


@needs("memory")
def test_what_is_not_asynchronous_is_the_object_itself(manager: ResourceManager) -> None:
    with manager.acquire("memory.cache", name="one", size=1 << 20) as cache:
        value = [1, 2]
        cache.set("key", value)
        assert cache.get("key") is value
        assert (cache.name, len(cache), "key" in cache, list(cache), bool(cache)) == ("one", 1, True, ["key"], True)
    with manager.acquire("memory.buffer", name="two", size=10) as buffer, pytest.raises(TypeError, match="iterable"):
        iter(buffer)
