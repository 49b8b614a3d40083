"""What bound sockets do: listeners, and sockets for datagrams."""

import asyncio
import errno
import socket
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
from plugin_network import NetworkProvider, NetworkSettings, Socket

pytestmark = pytest.mark.anyio

Descriptors = Callable[[], set[tuple[str, str]]]


async def test_a_listener_is_on_a_free_port_by_default(provider: NetworkProvider) -> None:
    home = await provider.create_socket(name="home")

    assert home.port > 0
    assert home.address == ("127.0.0.1", home.port)
    assert home.protocol == "tcp"
    assert not home.socket.getblocking()
    with socket.create_connection(home.address) as client:
        async with await home.accept() as stream:
            assert stream.peer == client.getsockname()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_a_port_in_use_is_refused_by_name(provider: NetworkProvider, protocol: str) -> None:
    home = await provider.create_socket("home", protocol=protocol)

    with pytest.raises(ResourceUnavailableError) as caught:
        await provider.create_socket("again", port=home.port, protocol=protocol)

    assert f"127.0.0.1:{home.port} for {protocol}: Address already in use" in caught.value.problem
    assert "0 for a free one" in caught.value.remedy
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EADDRINUSE


async def test_a_port_that_was_released_can_be_taken_again(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    connection = await provider.create_tcp_connection("c", *home.address)
    await home.accept()
    await home.release()
    await connection.release()

    again = await provider.create_socket("again", port=home.port)

    assert again.port == home.port


async def test_an_address_of_another_machine_is_refused(provider: NetworkProvider) -> None:
    with pytest.raises(ResourceUnavailableError, match="address of this machine"):
        await provider.create_socket("s", host="192.0.2.1")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"port": 65536}, "allowed: 0 to 65535"),
        ({"port": -1}, "allowed: 0 to 65535"),
        ({"protocol": "sctp"}, "allowed: tcp, udp"),
        ({"host": ""}, "a host name or address"),
        ({"size": 0}, "at least 1 byte"),
    ],
)
async def test_a_request_out_of_range_is_refused(
    provider: NetworkProvider, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await provider.create("network.socket", **wrong)


async def test_releasing_a_listener_closes_what_it_accepted(
    provider: NetworkProvider, open_descriptors: Descriptors
) -> None:
    before = open_descriptors()
    home = await provider.create_socket("home")
    connection = await provider.create_tcp_connection("c", *home.address)
    stream = await home.accept()
    assert home.streams == {stream}

    await home.release()

    assert await connection.receive() == b""
    with pytest.raises(ResourceError, match="was closed"):
        await stream.send(b"x")
    await connection.release()
    await stream.aclose()
    assert open_descriptors() == before
    assert provider.ledger.statistics().held == 0


@pytest.mark.parametrize(("protocol", "wait"), [("tcp", Socket.accept), ("udp", Socket.receive_from)])
async def test_release_wakes_who_waits(
    provider: NetworkProvider, protocol: str, wait: Callable[[Socket], object]
) -> None:
    home = await provider.create_socket("home", protocol=protocol)
    waiting = [asyncio.ensure_future(wait(home)) for _ in range(2)]  # type: ignore[call-overload]  # both are awaitable
    await anyio.wait_all_tasks_blocked()

    await home.release()
    await home.release()

    for one in waiting:
        with pytest.raises(ResourceError, match="was closed"):
            await one
    with pytest.raises(ResourceError, match="was closed"):
        _ = home.socket


async def test_a_new_listener_with_the_same_number_is_not_disturbed(provider: NetworkProvider) -> None:
    old = await provider.create_socket("old")
    waiting = asyncio.create_task(old.accept())
    await anyio.wait_all_tasks_blocked()

    await old.release()
    new = await provider.create_socket("new")
    with socket.socket() as client:
        asyncio.get_running_loop().call_later(0, client.connect, new.address)
        # awaited at once, so that it waits before the other one has noticed that it was woken
        async with asyncio.timeout(5):
            stream = await new.accept()
        assert stream.peer == client.getsockname()

    with pytest.raises(ResourceError, match="was closed"):
        await waiting


async def test_cancelling_accept_loses_no_connection(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    task = asyncio.create_task(home.accept())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    connection = await provider.create_tcp_connection("c", *home.address)

    assert (await home.accept()).peer == connection.local


async def test_datagrams_go_there_and_back(provider: NetworkProvider) -> None:
    one = await provider.create_socket("one", protocol="udp")
    other = await provider.create_socket("other", protocol="udp", host="localhost")

    await one.send_to(b"question", ("localhost", other.port))
    data, sender = await other.receive_from()
    await other.send_to(b"", sender)

    assert (data, sender) == (b"question", one.address)
    assert await one.receive_from() == (b"", other.address)


async def test_a_datagram_larger_than_the_size_is_reported(provider: NetworkProvider) -> None:
    one = await provider.create_socket("one", protocol="udp")
    small = await provider.create_socket("small", protocol="udp", size=4)
    await one.send_to(b"12345", small.address)
    await one.send_to(b"1234", small.address)

    with pytest.raises(ResourceLimitError, match="larger than its size, 4 bytes"):
        await small.receive_from()
    assert await small.receive_from() == (b"1234", one.address)


async def test_a_datagram_larger_than_udp_allows_is_refused(provider: NetworkProvider) -> None:
    one = await provider.create_socket("one", protocol="udp")

    with pytest.raises(InvalidRequestError, match="cannot send 70000 bytes"):
        await one.send_to(bytes(70000), one.address)


async def test_datagrams_go_only_where_the_configuration_allows() -> None:
    provider = NetworkProvider(NetworkSettings(allowed_hosts=["127.0.0.1"]))
    await provider.initialize()
    one = await provider.create_socket("one", protocol="udp")

    with pytest.raises(PolicyError, match=r"'127\.0\.0\.2'"):
        await one.send_to(b"x", ("127.0.0.2", one.port))
    await one.send_to(b"x", one.address)
    assert (await one.receive_from())[0] == b"x"
    await provider.cleanup()


async def test_an_address_of_the_other_family_is_refused(provider: NetworkProvider) -> None:
    one = await provider.create_socket("one", protocol="udp")

    with pytest.raises(ResourceUnavailableError, match="no address of its family"):
        await one.send_to(b"x", ("::1", 9))


async def test_what_the_protocol_lacks_is_refused_with_what_it_has(provider: NetworkProvider) -> None:
    tcp = await provider.create_socket("t")
    udp = await provider.create_socket("u", protocol="udp")

    with pytest.raises(InvalidRequestError, match="use receive_from"):
        await udp.accept()
    with pytest.raises(InvalidRequestError, match=r"accept\(\) a stream"):
        await tcp.receive_from()
    with pytest.raises(InvalidRequestError, match=r"accept\(\) a stream"):
        await tcp.send_to(b"x", udp.address)
