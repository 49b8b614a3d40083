"""What a TCP connection does, against real listeners."""

import asyncio
import errno
import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

import anyio
import pytest

from framework.errors import (
    InvalidRequestError,
    PolicyError,
    ResourceError,
    ResourceLimitError,
    ResourceUnavailableError,
)
from plugin_network import NetworkProvider, NetworkSettings
from plugin_network.connecting import connect_any

pytestmark = pytest.mark.anyio

Descriptors = Callable[[], set[tuple[str, str]]]


async def test_what_is_sent_arrives_both_ways(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    connection = await provider.create_tcp_connection(name="c", host="localhost", port=home.port, size=8192)
    stream = await home.accept()

    await connection.send(b"first\nsecond")
    assert await stream.receive_line() == b"first\n"
    assert await stream.receive_exactly(6) == b"second"
    await stream.send(memoryview(b"answer"))
    assert await connection.receive() == b"answer"
    assert (connection.local, connection.peer) == (stream.peer, stream.local)
    assert connection.size == 8192


async def test_a_port_nobody_listens_on_is_named_with_the_reason(provider: NetworkProvider, unused_port: int) -> None:
    with pytest.raises(ResourceUnavailableError) as caught:
        await provider.create_tcp_connection("c", "127.0.0.1", unused_port)

    assert f"127.0.0.1:{unused_port}" in caught.value.problem
    assert "Connection refused" in caught.value.problem
    assert "Start what should listen there" in caught.value.remedy
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ECONNREFUSED
    assert provider.ledger.statistics().held == 0


SELF_CONNECTING = """
import asyncio, sys
from framework.errors import ResourceUnavailableError
from plugin_network import NetworkProvider
open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("40000 40000")  # the only port there is to connect from

async def main():
    provider = NetworkProvider()
    await provider.initialize()
    try:
        await provider.create_tcp_connection("c", "127.0.0.1", 40000)
    except ResourceUnavailableError as error:
        print(error.problem)

asyncio.run(main())
"""


async def test_a_connection_to_itself_counts_as_refused() -> None:
    # TCP grants a connection whose source port happens to be its target; a network of its own forces that to happen
    isolated = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a network namespace, and the programs unshare and ip")

    ended = subprocess.run([*isolated, sys.executable, "-c", SELF_CONNECTING], capture_output=True, check=True)

    assert b"cannot connect to 127.0.0.1:40000: Connection refused" in ended.stdout


async def test_a_name_that_does_not_resolve_is_refused(provider: NetworkProvider) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"nobody\.invalid:80: the name does not resolve"):
        await provider.create_tcp_connection("c", "nobody.invalid", 80)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"port": 0}, "allowed: 1 to 65535"),
        ({"port": 65536}, "allowed: 1 to 65535"),
        ({"port": -1}, "allowed: 1 to 65535"),
        ({"host": ""}, "a host name or address"),
        ({"host": "a b"}, "a host name or address"),
        ({"host": "a\0b"}, "a host name or address"),
        ({"host": "a" * 254}, "a host name or address"),
        ({"size": 0}, "at least 1 byte"),
        ({"timeout": 0}, "more than 0 seconds"),
        ({"timeout": float("nan")}, "more than 0 seconds"),
        ({"host": 5}, "a int; allowed: str"),
    ],
)
async def test_a_request_out_of_range_is_refused(
    provider: NetworkProvider, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await provider.create("network.tcp", **{"host": "127.0.0.1", "port": 80, **wrong})

    assert provider.ledger.statistics().held == 0
    assert provider.ledger.statistics().held == 0


async def test_a_buffer_larger_than_any_is_refused(provider: NetworkProvider) -> None:
    with pytest.raises(ResourceLimitError, match="1073741824"):
        await provider.create_tcp_connection("c", "127.0.0.1", 80, size=1 << 60)


async def test_a_host_that_does_not_answer_is_given_up_in_time(
    provider: NetworkProvider, full_backlog: tuple[str, int], open_descriptors: Descriptors
) -> None:
    before = open_descriptors()

    with pytest.raises(ResourceUnavailableError, match=r"no answer from 127\.0\.0\.2:\d+ within 0\.1 s"):
        await provider.create_tcp_connection("c", *full_backlog, timeout=0.1)

    assert open_descriptors() == before


async def test_the_setting_is_the_timeout_of_requests_without_one(full_backlog: tuple[str, int]) -> None:
    provider = NetworkProvider(NetworkSettings(connect_timeout=0.05))
    await provider.initialize()

    with pytest.raises(ResourceUnavailableError, match=r"within 0\.05 s"):
        await provider.create_tcp_connection("c", *full_backlog)


async def test_cancelling_while_connecting_leaves_no_socket(
    provider: NetworkProvider, full_backlog: tuple[str, int], open_descriptors: Descriptors
) -> None:
    before = open_descriptors()
    task = asyncio.create_task(provider.create_tcp_connection("c", *full_backlog))
    while provider.ledger.statistics().held == 0:
        await anyio.lowlevel.checkpoint()
    assert len(open_descriptors()) == len(before) + 1

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert open_descriptors() == before
    assert provider.ledger.statistics().held == 0
    assert provider.ledger.statistics().held == 0


async def test_the_next_address_is_tried_while_the_first_is_silent(
    full_backlog: tuple[str, int], open_descriptors: Descriptors
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = open_descriptors()
        addresses = [(socket.AF_INET, full_backlog), (socket.AF_INET, listener.getsockname())]

        connected = await connect_any(addresses)

        with connected:
            assert connected.getpeername() == listener.getsockname()
            assert len(open_descriptors()) == len(before) + 1


async def test_cancelling_between_addresses_leaves_no_socket(
    full_backlog: tuple[str, int], open_descriptors: Descriptors
) -> None:
    before = open_descriptors()

    with anyio.move_on_after(0.4) as scope:  # 0.25 s is the first one's head start: both are being tried by then
        await connect_any([(socket.AF_INET, full_backlog), (socket.AF_INET, full_backlog)])

    assert scope.cancelled_caught
    assert open_descriptors() == before


async def test_the_first_refusal_is_reported_when_no_address_answers(unused_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect_any([(socket.AF_INET, (f"127.0.0.{number}", unused_port)) for number in (1, 2)])


async def test_release_closes_the_socket_and_twice_is_harmless(
    provider: NetworkProvider, open_descriptors: Descriptors
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = open_descriptors()
        connection = await provider.create_tcp_connection("c", *listener.getsockname())
        assert connection.is_allocated()

        await connection.release()
        await connection.release()

        assert not connection.is_allocated()
        assert open_descriptors() == before
        with pytest.raises(ResourceError, match="was closed"):
            await connection.send(b"x")
        with pytest.raises(ResourceError, match="was closed"):
            await connection.receive()


async def test_release_wakes_who_receives_and_who_sends(provider: NetworkProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await provider.create_tcp_connection("c", *listener.getsockname())
        receiving = asyncio.create_task(connection.receive())
        queued = asyncio.create_task(connection.receive())
        sending = asyncio.create_task(connection.send(bytes(64 << 20)))  # more than the system buffers
        await anyio.wait_all_tasks_blocked()

        await connection.release()

        for task in (receiving, queued, sending):
            with pytest.raises(ResourceError, match="was closed"):
                await task


async def test_a_new_connection_with_the_same_number_is_not_disturbed(provider: NetworkProvider) -> None:
    async def answer() -> None:
        await (await home.accept()).send(b"still here")

    home = await provider.create_socket("home")
    connection = await provider.create_tcp_connection("old", *home.address)
    other_end = await home.accept()
    waiting = asyncio.create_task(connection.receive())
    await anyio.wait_all_tasks_blocked()

    await connection.release()
    successor = await provider.create_tcp_connection("new", *home.address)
    answering = asyncio.create_task(answer())
    # awaited at once, so that it waits before the other one has noticed that it was woken
    async with asyncio.timeout(5):
        received = await successor.receive()

    assert received == b"still here"
    await answering
    with pytest.raises(ResourceError, match="was closed"):
        await waiting
    await other_end.aclose()


async def test_a_peer_that_resets_turns_the_status_to_error(provider: NetworkProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await provider.create_tcp_connection("c", *listener.getsockname())
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # with a linger time of 0 this is a reset

        with pytest.raises(ResourceUnavailableError, match="lost its peer"):
            await connection.receive()
        assert connection.status.value == "error"

        await connection.release()
        assert connection.status.value == "released"


async def test_a_host_that_is_not_listed_is_refused() -> None:
    provider = NetworkProvider(NetworkSettings(allowed_hosts=["LocalHost."]))
    await provider.initialize()
    home = await provider.create_socket("home", host="localhost")

    async with await provider.create_tcp_connection("c", "localhost", home.port):
        with pytest.raises(PolicyError, match=r"'127\.0\.0\.1'; network\.allowed_hosts allows LocalHost"):
            await provider.create_tcp_connection("c", "127.0.0.1", home.port)
        with pytest.raises(PolicyError):
            await provider.create_socket("other", host="127.0.0.1")
    await provider.cleanup()


async def test_no_more_connections_are_made_than_allowed() -> None:
    provider = NetworkProvider(NetworkSettings(max_connections=3))
    await provider.initialize()
    home = await provider.create_socket("home")
    first = await provider.create_tcp_connection("a", *home.address)
    second = await provider.create_tcp_connection("b", *home.address)

    with pytest.raises(ResourceLimitError, match=r"of the 3 that plugins\.network\.max_connections allows"):
        await provider.create_tcp_connection("c", *home.address)
    await first.release()
    async with await provider.create_tcp_connection("c", *home.address):
        pass
    await second.release()
    await provider.cleanup()


async def test_no_more_connections_to_one_host_are_made_than_allowed(unused_port: int) -> None:
    provider = NetworkProvider(NetworkSettings(max_connections_per_host=1))
    await provider.initialize()
    home = await provider.create_socket("home")
    with pytest.raises(ResourceUnavailableError):
        await provider.create_tcp_connection("a", "LocalHost", unused_port)

    async with await provider.create_tcp_connection("a", "localhost", home.port):
        with pytest.raises(ResourceLimitError, match=r"1 connections to localhost are open.* allows 1"):
            await provider.create_tcp_connection("b", "LOCALHOST.", home.port)
        async with await provider.create_tcp_connection("b", "127.0.0.1", home.port):
            pass
    async with await provider.create_tcp_connection("b", "localhost", home.port):
        pass
    await provider.cleanup()


async def test_fifty_at_once_all_echo_and_leave_nothing(
    provider: NetworkProvider, open_descriptors: Descriptors
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    before = open_descriptors()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()

    async def ask(number: int) -> bytes:
        data = bytes([number]) * 100_000
        async with await provider.create_tcp_connection(f"c{number}", host, port) as connection:
            await connection.send(data)
            await connection.send_eof()
            received = b""
            while chunk := await connection.receive():
                received += chunk
            return received

    answers = await asyncio.gather(*(ask(number) for number in range(50)))

    assert answers == [bytes([number]) * 100_000 for number in range(50)]
    server.close()
    await server.wait_closed()
    await anyio.wait_all_tasks_blocked()
    assert open_descriptors() == before


async def test_cleanup_closes_everything(provider: NetworkProvider, open_descriptors: Descriptors) -> None:
    before = open_descriptors()
    home = await provider.create_socket("home")
    for number in range(5):
        await provider.create_tcp_connection(f"c{number}", *home.address)
        await home.accept()

    await provider.cleanup()

    assert open_descriptors() == before
    assert provider.ledger.statistics().held == 0
    assert provider.ledger.statistics().held == 0


async def test_running_out_of_descriptors_is_said_and_leaves_nothing(
    provider: NetworkProvider, open_descriptors: Descriptors
) -> None:
    home = await provider.create_socket("home")
    client = socket.socket()
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)  # the lowest free number; everything below it is taken
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        with pytest.raises(ResourceLimitError, match="Too many open files"):
            await provider.create_tcp_connection("c", *home.address)
        with pytest.raises(ResourceLimitError, match="Too many open files"):
            await provider.create_socket("s")
        client.connect(home.address)
        with pytest.raises(ResourceLimitError, match="Too many open files"):
            await home.accept()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert open_descriptors() == before
    assert provider.ledger.statistics().held == 1
    async with await home.accept() as stream:  # it stayed in the queue
        assert stream.peer == client.getsockname()
    client.close()


LINK_LOCAL = """
import asyncio
from plugin_network import NetworkProvider
async def main():
    provider = NetworkProvider()
    await provider.initialize()
    home = await provider.create_socket("home", "fe80::1%lo")
    connection = await provider.create_tcp_connection("c", "fe80::1%lo", home.port)
    stream = await home.accept()
    await connection.send(b"hello")
    print(await stream.receive_exactly(5), connection.peer == home.address)
    await provider.cleanup()
asyncio.run(main())
"""


def test_a_host_that_one_interface_alone_reaches_is_connected_to_and_listened_on() -> None:
    ready = 'ip link set lo up && ip address add fe80::1/64 dev lo nodad && exec "$@"'
    alone = ["unshare", "--net", "sh", "-c", ready, "sh"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs root, network namespaces and the program ip: {error}")
    done = subprocess.run([*alone, sys.executable, "-c", LINK_LOCAL], capture_output=True, text=True, timeout=60)
    assert done.stdout == "b'hello' True\n", done.stderr
