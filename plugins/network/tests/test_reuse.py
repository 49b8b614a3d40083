"""What is lent again, what is not, and for how long it is kept."""

import asyncio
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from framework import CleanupParticipant, Framework
from framework.errors import ResourceLimitError, ResourceUnavailableError
from framework.testing import ParticipantContract
from framework.testing.cancellation import at_each_step
from plugin_network import AcceptedStream, NetworkProvider, NetworkSettings, Socket, TcpConnection
from plugin_network.idle import IdleConnections

pytestmark = pytest.mark.anyio

Serving = Callable[..., AbstractAsyncContextManager[int]]
Settle = Callable[[], Awaitable[None]]


@pytest.fixture
async def home(provider: NetworkProvider) -> Socket:
    return await provider.create_socket("home")


async def connected(provider: NetworkProvider, home: Socket) -> tuple[TcpConnection, AcceptedStream]:
    connection = await provider.create_tcp_connection("c", *home.address, reuse=True)
    return connection, await home.accept()


async def again(provider: NetworkProvider, home: Socket) -> TcpConnection:
    return await provider.create_tcp_connection("again", *home.address, reuse=True)


async def asked(connection: TcpConnection, stream: AcceptedStream) -> None:
    """Have one complete conversation."""
    await connection.send(b"question\n")
    await stream.send(await stream.receive_line())
    assert await connection.receive_line() == b"question\n"


async def test_a_connection_that_was_given_back_is_lent_again(provider: NetworkProvider, home: Socket) -> None:
    connection, stream = await connected(provider, home)
    await asked(connection, stream)
    await connection.release()
    assert len(provider.idle) == 1

    second = await again(provider, home)

    assert second.local == connection.local
    assert len(provider.idle) == 0
    await asked(second, stream)
    assert second.is_allocated()
    assert not connection.is_allocated()


async def test_without_reuse_nothing_is_taken_and_nothing_is_kept(provider: NetworkProvider, home: Socket) -> None:
    connection, stream = await connected(provider, home)
    await connection.release()

    plain = await provider.create_tcp_connection("plain", *home.address)
    assert plain.local != connection.local
    await plain.release()

    assert len(provider.idle) == 1
    assert not stream._closed


async def test_a_secured_connection_is_lent_again_only_as_it_was_secured(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    secured: dict[str, Any] = {"tls": True, "tls_ca": authority, "reuse": True}
    async with serving(certificate) as port:
        first = await provider.create_tcp_connection("c", "localhost", port, **secured)
        await first.release()  # the server's tickets, which nobody asked for, are no reason to close it
        other = await provider.create_tcp_connection("d", "localhost", port, tls=True, tls_verify=False, reuse=True)
        same = await provider.create_tcp_connection("e", "LOCALHOST", port, **secured)

        assert other.local != first.local
        assert same.local == first.local
        await same.send(b"still secured\n")
        assert await same.receive_line() == b"still secured\n"
        await same.release()
        await other.release()
        provider.idle.close_all()


async def test_a_secured_connection_is_not_lent_again_once_its_files_were_exchanged(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str, tmp_path: Path
) -> None:
    """What it was trusted by, or who it is for the server, may be another now."""
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Path(authority).read_bytes())
    secured: dict[str, Any] = {"tls": True, "tls_ca": str(trusted), "reuse": True}
    async with serving(certificate) as port:
        first = await provider.create_tcp_connection("c", "localhost", port, **secured)
        await first.release()
        trusted.write_bytes(Path(certificate).read_bytes())
        second = await provider.create_tcp_connection("d", "localhost", port, **secured)

        assert second.local != first.local
        await second.release()
        provider.idle.close_all()


async def leave_unread(connection: TcpConnection, stream: AcceptedStream) -> None:
    await connection.send(b"x")
    await stream.send(b"two\nlines\n")
    await connection.receive_line()


async def leave_unanswered(connection: TcpConnection, stream: AcceptedStream) -> None:
    await connection.send(b"x")


async def be_told_something(connection: TcpConnection, stream: AcceptedStream) -> None:
    await stream.send(b"unasked")


async def be_hung_up_on(connection: TcpConnection, stream: AcceptedStream) -> None:
    await stream.aclose()


async def be_reset(connection: TcpConnection, stream: AcceptedStream) -> None:
    stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def end_one_direction(connection: TcpConnection, stream: AcceptedStream) -> None:
    await connection.send_eof()


async def give_up_waiting(connection: TcpConnection, stream: AcceptedStream) -> None:
    await asked(connection, stream)
    with anyio.move_on_after(0.01):
        await connection.receive()


async def fail(connection: TcpConnection, stream: AcceptedStream) -> None:
    await be_reset(connection, stream)
    with pytest.raises(ResourceUnavailableError):
        await connection.receive()


async def discard(connection: TcpConnection, stream: AcceptedStream) -> None:
    connection.discard()


async def leave_by_an_exception(connection: TcpConnection, stream: AcceptedStream) -> None:
    with pytest.raises(KeyError):
        async with connection:
            raise KeyError


SPOILING = [
    leave_unread,
    leave_unanswered,
    be_told_something,
    be_hung_up_on,
    be_reset,
    end_one_direction,
    give_up_waiting,
    fail,
    discard,
    leave_by_an_exception,
]


@pytest.mark.parametrize("spoil", SPOILING)
async def test_a_connection_that_may_not_be_as_good_as_new_is_closed(
    provider: NetworkProvider,
    home: Socket,
    spoil: Callable[[TcpConnection, AcceptedStream], Awaitable[None]],
) -> None:
    connection, stream = await connected(provider, home)
    await spoil(connection, stream)

    await connection.release()

    assert len(provider.idle) == 0


@pytest.mark.parametrize("spoil", [be_told_something, be_hung_up_on, be_reset])
async def test_what_happened_while_it_was_idle_is_noticed_before_it_is_lent(
    provider: NetworkProvider,
    home: Socket,
    spoil: Callable[[TcpConnection, AcceptedStream], Awaitable[None]],
) -> None:
    connection, stream = await connected(provider, home)
    await connection.release()
    assert len(provider.idle) == 1
    await spoil(connection, stream)

    second = await again(provider, home)

    assert second.local != connection.local
    assert len(provider.idle) == 0
    async with await home.accept() as other_end:
        await asked(second, other_end)


async def test_an_exception_in_a_block_of_the_host_keeps_a_connection_from_others() -> None:
    async with Framework.from_config({"plugins": {"network": {}}}) as host:
        home = await host.acquire("network.socket")
        request: dict[str, Any] = {"host": "127.0.0.1", "port": home.port, "reuse": True}
        with pytest.raises(KeyError):
            async with host.acquire("network.tcp", **request):
                raise KeyError
        assert (await host.measurements())["network"]["framework_network_idle"] == 0
        async with host.acquire("network.tcp", **request):
            pass
        async with host.acquire("network.tcp", **request):
            assert (await host.measurements())["network"] == {
                "framework_network_connections": 1,
                "framework_network_sockets": 1,
                "framework_network_accepted": 0,
                "framework_network_idle": 0,
                "framework_network_reused": 1,
            }
        report = await host.request_cleanup(reason="a test")
        assert {one.participant: one.claimed_bytes > 0 for one in report.outcomes} == {"network": True}
        assert (await host.measurements())["network"]["framework_network_idle"] == 0


@pytest.fixture
async def small() -> AsyncIterator[NetworkProvider]:
    provider = NetworkProvider(NetworkSettings(max_idle=3, max_idle_per_host=2, idle_seconds=0.05))
    await provider.initialize()
    yield provider
    await provider.cleanup()


async def keep(provider: NetworkProvider, home: Socket, count: int) -> list[TcpConnection]:
    made = [await again(provider, home) for _ in range(count)]
    for one in made:
        await one.release()
    return made


async def test_no_more_are_kept_than_allowed_and_the_oldest_go_first(small: NetworkProvider) -> None:
    homes = [await small.create_socket(f"home{number}") for number in range(2)]

    first = await keep(small, homes[0], 3)
    assert len(small.idle) == 2
    assert (await again(small, homes[0])).local == first[2].local
    await keep(small, homes[1], 2)
    assert len(small.idle) <= 3


class CleanedUpMeanwhile(IdleConnections):
    """Closes all when it has just been counted, as a cleanup in another thread may."""

    def __len__(self) -> int:
        count = super().__len__()
        self.close_all()
        return count


async def test_a_cleanup_that_comes_while_one_is_kept_spoils_no_release(small: NetworkProvider) -> None:
    homes = [await small.create_socket(f"home{number}") for number in range(2)]
    small.idle = CleanedUpMeanwhile(1, 2, 30)
    small.idle.start()
    held = [await again(small, home) for home in homes]
    first, other = socket.socketpair()
    small.idle._kept["another", 1, None] = [(first, float("inf"))]  # so that one more is one too many

    for one in held:
        await one.release()

    assert [one.status.value for one in held] == ["released", "released"]
    other.close()


async def test_what_nobody_takes_is_closed_in_time(small: NetworkProvider, descriptors_settle: Settle) -> None:
    async with await small.create_socket("home") as home:
        await keep(small, home, 2)
        stream = await home.accept()

        assert await stream.receive() == b""  # its peer was closed, though nobody asked for anything

        other = await home.accept()
        assert await other.receive() == b""
        assert len(small.idle) == 0
    await descriptors_settle()


async def test_cleaning_up_closes_what_is_kept_and_keeps_no_more(
    provider: NetworkProvider, home: Socket, descriptors_settle: Settle
) -> None:
    kept, stream = await connected(provider, home)
    await kept.release()
    held = await again(provider, home)  # the same one: it is lent while the provider is cleaned up

    await provider.cleanup()

    assert not held.is_allocated()
    assert len(provider.idle) == 0
    assert stream._closed
    await descriptors_settle()


async def test_idle_connections_do_not_keep_others_from_being_made(provider: NetworkProvider, home: Socket) -> None:
    connection, stream = await connected(provider, home)
    await connection.release()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)  # the lowest free number; everything below it is taken
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        other = await provider.create_tcp_connection("other", *home.address)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(provider.idle) == 0
    assert await stream.receive() == b""
    await other.release()


async def test_idle_connections_count_for_their_host_and_make_room() -> None:
    provider = NetworkProvider(NetworkSettings(max_connections_per_host=2))
    await provider.initialize()
    homes = [await provider.create_socket(f"home{number}") for number in range(3)]
    for one in homes[:2]:
        await keep(provider, one, 1)

    first = await again(provider, homes[2])
    assert len(provider.idle) == 1
    second = await again(provider, homes[2])
    assert len(provider.idle) == 0
    with pytest.raises(ResourceLimitError, match="max_connections_per_host allows 2"):
        await again(provider, homes[2])
    await first.release()
    assert (await again(provider, homes[2])).local == first.local
    await second.release()
    await provider.cleanup()


async def test_a_forked_child_takes_no_connection_of_its_parent(provider: NetworkProvider, home: Socket) -> None:
    connection, stream = await connected(provider, home)
    await connection.release()
    key = "127.0.0.1", home.port, None

    child = os.fork()
    if not child:  # nothing here may raise: it would run the parent's clean-up
        os._exit(0 if provider.idle.take(key) is None and len(provider.idle) == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    second = await again(provider, home)
    assert second.local == connection.local
    await asked(second, stream)


async def test_cancelling_at_each_step_leaves_nothing(
    provider: NetworkProvider, home: Socket, descriptors_settle: Settle
) -> None:
    async def operation() -> None:
        async with await again(provider, home) as connection:
            await connection.send(b"x")
            await connection.receive_line()

    async def answer() -> None:
        while True:
            stream = await home.accept()
            answering.add(asyncio.create_task(respond(stream)))

    async def respond(stream: AcceptedStream) -> None:
        async with stream:
            while await stream.receive():
                await stream.send(b"y\n")

    answering: set[asyncio.Task[None]] = set()
    accepting = asyncio.create_task(answer())
    async for steps, _ in at_each_step(operation):
        (lease,) = provider.ledger.records()
        assert lease.kind == "network.socket", steps
    accepting.cancel()
    for task in answering:
        task.cancel()
    await asyncio.gather(accepting, *answering, return_exceptions=True)
    provider.idle.close_all()
    await descriptors_settle()


class TestParticipant(ParticipantContract):
    @pytest.fixture
    def participant(self) -> CleanupParticipant:
        return IdleConnections(8, 8, 30.0)
