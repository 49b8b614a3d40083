"""What a stream returns for what arrives, however it is cut into pieces."""

import asyncio
import socket
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import InvalidRequestError, ResourceLimitError, ResourceUnavailableError
from plugin_network import Stream

pytestmark = pytest.mark.anyio


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with ours, theirs:
        yield ours, theirs


Call = tuple[str, int]
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.integers(1, 12)),
        st.tuples(st.just("receive_exactly"), st.integers(0, 8)),
        st.tuples(st.just("receive_line"), st.just(0)),
    ),
    max_size=20,
)


@given(pieces=st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=8), calls=CALLS)
@settings(deadline=None)
def test_every_byte_comes_once_and_in_order_whichever_way_it_is_taken(pieces: list[bytes], calls: list[Call]) -> None:
    asyncio.run(_take_all(pieces, calls))


async def _take_all(pieces: list[bytes], calls: list[Call]) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    stream = Stream(ours, 8, "a test")
    taken = b""

    async def feed() -> None:
        with theirs:
            for piece in pieces:
                theirs.sendall(piece)
                await anyio.lowlevel.checkpoint()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        for method, argument in calls:
            part = await _call(stream, method, argument)
            taken += part
            if method == "receive_line":
                assert b"\n" not in part[:-1]
        while part := await stream.receive():
            taken += part
    ours.close()
    assert taken == b"".join(pieces)


async def _call(stream: Stream, method: str, argument: int) -> bytes:
    try:
        if method == "receive_line":
            return await stream.receive_line()
        return await (stream.receive if method == "receive" else stream.receive_exactly)(argument)
    except (ResourceUnavailableError, ResourceLimitError):
        return b""  # nothing was lost: what came is left to the next call


async def test_exactly_waits_for_the_last_byte(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0], 64, "a test")
    task = asyncio.create_task(stream.receive_exactly(6))
    ends[1].sendall(b"abc")
    await anyio.wait_all_tasks_blocked()
    assert not task.done()

    ends[1].sendall(b"defgh")

    assert await task == b"abcdef"
    assert await stream.receive() == b"gh"


async def test_a_cancelled_wait_loses_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0], 64, "a test")
    task = asyncio.create_task(stream.receive_line())
    ends[1].sendall(b"half of ")
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    ends[1].sendall(b"a line\n")

    assert await stream.receive_line() == b"half of a line\n"


async def test_a_peer_that_finishes_early_is_named_with_what_came(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0], 64, "a test")
    ends[1].sendall(b"abc")
    ends[1].close()

    with pytest.raises(ResourceUnavailableError, match="10 bytes, of which 3 came"):
        await stream.receive_exactly(10)

    assert await stream.receive() == b"abc"
    assert await stream.receive() == b""
    assert await stream.receive_line() == b""


async def test_a_line_longer_than_the_buffer_is_refused_and_kept(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0], 8, "a test")
    ends[1].sendall(b"0123456789\n")

    with pytest.raises(ResourceLimitError, match="longer than its buffer size, 8 bytes"):
        await stream.receive_line()

    assert await stream.receive() == b"01234567"
    assert await stream.receive_line() == b"89\n"


async def test_no_call_returns_more_than_the_buffer_size(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0], 8, "a test")
    ends[1].sendall(bytes(100))

    assert len(await stream.receive(1000)) == 8
    with pytest.raises(InvalidRequestError, match="allowed: 0 to its buffer size, 8"):
        await stream.receive_exactly(9)
    with pytest.raises(InvalidRequestError, match="least allowed is 1"):
        await stream.receive(0)


async def test_text_is_refused_where_bytes_are_due(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(InvalidRequestError, match="bytes, not str"):
        await Stream(ends[0], 8, "a test").send("text")  # type: ignore[arg-type]  # the mistake under test


async def test_messages_of_several_senders_do_not_mix(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].settimeout(0)
    sender, receiver = Stream(ends[0], 1 << 20, "a test"), Stream(ends[1], 1 << 20, "a test")
    messages = [bytes([number]) * (1 << 20) for number in range(4)]  # more than the system buffers

    tasks = [asyncio.create_task(sender.send(message)) for message in messages]
    received = [await receiver.receive_exactly(1 << 20) for _ in messages]

    assert received == messages
    await asyncio.gather(*tasks)


async def test_a_fast_peer_does_not_starve_other_tasks(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0], 1, "a test")
    ends[1].sendall(bytes(1000))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    other = asyncio.create_task(count())
    for _ in range(1000):
        await stream.receive()
    other.cancel()

    assert turns > 10
