"""What breaks in a network, made to break for real."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from framework.errors import ResourceUnavailableError
from framework.testing.cancellation import at_each_step
from plugin_network import NetworkProvider, NetworkSettings

pytestmark = pytest.mark.anyio

Descriptors = Callable[[], set[tuple[str, str]]]
Settle = Callable[[], Awaitable[None]]

DUAL_STACK = """
import asyncio, socket
from plugin_network import NetworkProvider

async def main():
    found = [where[0] for *_, where in socket.getaddrinfo("dual", 80, type=socket.SOCK_STREAM)]
    provider = NetworkProvider()
    await provider.initialize()
    home = await provider.create_socket("home", host="127.0.0.1")
    # of the same port, and full: what asks to connect gets no answer at all
    silent = await provider.create_socket("silent", host="::1", port=home.port, backlog=1)
    waiting = [socket.socket(socket.AF_INET6) for _ in range(6)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("::1", home.port))
    connection = await provider.create_tcp_connection("c", "dual", home.port, timeout=20)
    print(found, connection.peer[0])
    await provider.cleanup()

asyncio.run(main())
"""

HOSTS = """
mount --bind "$1" /etc/hosts && shift && ip link set lo up && exec "$@"
"""


async def test_a_name_whose_ipv6_address_never_answers_is_reached_by_ipv4(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 dual\n127.0.0.1 dual\n")
    isolated = ["unshare", "--net", "--mount", "sh", "-c", HOSTS, "sh", str(hosts)]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a network of its own, and the programs unshare, mount and ip")

    ended = subprocess.run([*isolated, sys.executable, "-c", DUAL_STACK], capture_output=True, text=True, check=False)

    assert ended.stdout.strip() == "['::1', '127.0.0.1'] 127.0.0.1", ended.stderr


async def test_a_peer_that_does_not_read_holds_up_the_sender_alone(
    provider: NetworkProvider, open_descriptors: Descriptors
) -> None:
    home = await provider.create_socket("home")
    before = open_descriptors()
    slow = await provider.create_tcp_connection("slow", *home.address)
    stream = await home.accept()
    data = os.urandom(32 << 20)
    sending = asyncio.create_task(slow.send(data))
    await anyio.wait_all_tasks_blocked()
    assert not sending.done()

    async with await provider.create_tcp_connection("other", *home.address) as other, await home.accept() as peer:
        await other.send(b"goes on")
        assert await peer.receive() == b"goes on"

    received = bytearray()
    while len(received) < len(data):
        received += await stream.receive()
    await sending
    assert received == data
    await slow.release()
    await stream.aclose()
    assert open_descriptors() == before


async def test_a_peer_that_accepts_and_is_silent_can_be_given_up(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    async with await provider.create_tcp_connection("c", *home.address) as connection, await home.accept():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connection.receive()


async def test_a_peer_that_resets_before_it_is_accepted_costs_nothing(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    with socket.create_connection(home.address) as rude:
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    async with await home.accept() as stream:
        with pytest.raises(ResourceUnavailableError, match="lost its peer"):
            await stream.receive()


async def test_a_stream_that_nobody_refers_to_any_more_closes(
    provider: NetworkProvider, descriptors_settle: Settle
) -> None:
    async with (
        await provider.create_socket("home") as home,
        await provider.create_tcp_connection("c", *home.address) as connection,
    ):
        await home.accept()
        assert home.streams == frozenset()
        assert await connection.receive() == b""
    await descriptors_settle()


async def test_a_connection_that_nobody_refers_to_any_more_is_given_back(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    await provider.create_tcp_connection("c", *home.address)
    stream = await home.accept()

    assert await stream.receive() == b""
    assert [one.name for one in provider.ledger.records()] == ["home"]


async def test_cancelling_a_conversation_at_each_step_leaves_nothing(
    provider: NetworkProvider, descriptors_settle: Settle
) -> None:
    async def operation() -> None:
        async with (
            await provider.create_socket("home") as home,
            await provider.create_tcp_connection("c", "localhost", home.port) as connection,
            await home.accept() as stream,
        ):
            await connection.send(b"question\n")
            await stream.send(await stream.receive_line())
            assert await connection.receive_line() == b"question\n"

    async for steps, _ in at_each_step(operation):
        assert provider.ledger.records() == (), steps
    await descriptors_settle()


@pytest.mark.parametrize("reuse", [False, True])
async def test_opening_and_closing_a_thousand_times_leaves_no_descriptor(
    open_descriptors: Descriptors, reuse: bool
) -> None:
    await _many(1000, open_descriptors, reuse=reuse)


@pytest.mark.slow
async def test_opening_and_closing_ten_thousand_times_leaves_no_descriptor(open_descriptors: Descriptors) -> None:
    await _many(10_000, open_descriptors, reuse=False)


async def _many(count: int, open_descriptors: Descriptors, *, reuse: bool) -> None:
    provider = NetworkProvider(NetworkSettings())
    await provider.initialize()
    home = await provider.create_socket("home")
    before = len(open_descriptors())

    async def serve() -> None:
        while True:
            stream = await home.accept()
            while data := await stream.receive():
                await stream.send(data)
            await stream.aclose()

    serving = asyncio.create_task(serve())
    most = 0
    for number in range(count):
        async with await provider.create_tcp_connection("c", *home.address, reuse=reuse) as connection:
            await connection.send(b"x")
            assert await connection.receive() == b"x"
        if number % 100 == 0:
            most = max(most, len(open_descriptors()))
    assert most <= before + 2
    assert provider.idle.reused == (count - 1 if reuse else 0)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await provider.cleanup()
    assert provider.ledger.statistics().held == 0
