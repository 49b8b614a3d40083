"""What is kept of a child's output."""

import asyncio
import os
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_process import ProcessProvider, ProcessSettings
from plugin_process.output import Tail

pytestmark = pytest.mark.anyio


async def test_fifty_megabytes_are_read_in_bounded_memory_and_marked_as_cut() -> None:
    provider = ProcessProvider(ProcessSettings(output_limit=1 << 16))
    await provider.initialize()
    process = await provider.create_local_process(
        "p", "sh", args=["-c", "head -c 50000000 /dev/zero; echo the end; echo short >&2"]
    )

    output = await process.output()

    assert len(output.stdout) == 1 << 16
    assert output.stdout.endswith(b"\0the end\n")
    assert output.stderr == b"short\n"
    assert output.truncated
    await provider.cleanup()


async def test_output_up_to_the_limit_is_complete() -> None:
    provider = ProcessProvider(ProcessSettings(output_limit=100))
    await provider.initialize()
    process = await provider.create_local_process("p", "head", args=["-c", "100", "/dev/zero"])

    output = await process.output()

    assert (output.stdout, output.truncated) == (bytes(100), False)
    await provider.cleanup()


async def test_lines_come_as_they_are_written(provider: ProcessProvider) -> None:
    process = await provider.create_local_process(
        "p", "sh", args=["-c", "echo one; kill -STOP $$; echo two; printf rest"]
    )
    lines = process.lines()

    assert await anext(lines) == b"one\n"
    task = asyncio.ensure_future(anext(lines))
    while process.returncode is None:
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0)
    assert await task == b"two\n"
    assert [line async for line in lines] == [b"rest"]
    assert [line async for line in process.lines()] == [b"one\n", b"two\n", b"rest"]


async def test_lines_end_when_the_child_is_released(provider: ProcessProvider) -> None:
    process = await provider.create_local_process("p", "sh", args=["-c", "echo one; exec sleep 100"])
    lines = process.lines()
    assert await anext(lines) == b"one\n"
    task = asyncio.ensure_future(anext(lines, b"no more"))

    await process.release()

    assert await task == b"no more"


async def test_what_is_written_before_the_end_is_complete_even_while_others_hold_the_pipe(
    provider: ProcessProvider,
) -> None:
    process = await provider.create_local_process(
        "p", "sh", args=["-c", "head -c 60000 /dev/zero; exec sleep 100 & exit 0"]
    )

    assert (await process.output()).stdout == bytes(60000)


async def test_lines_end_with_the_child_even_while_others_hold_the_pipe(provider: ProcessProvider) -> None:
    process = await provider.create_local_process("p", "sh", args=["-c", "echo one; exec sleep 100 & exit 0"])

    assert [line async for line in process.lines()] == [b"one\n"]


async def test_what_still_is_in_a_large_pipe_at_the_end_is_taken(provider: ProcessProvider) -> None:
    script = "import fcntl, os; fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20); os.write(1, bytes(500_000))"
    process = await provider.create_local_process("p", sys.executable, args=["-c", script])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # the event loop stands still until the child has ended

    assert (await process.output()).stdout == bytes(500_000)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_a_tail_is_the_end_of_everything_added(chunks: list[bytes], limit: int) -> None:
    tail = Tail(limit)
    for chunk in chunks:
        tail.add(chunk)
    everything = b"".join(chunks)

    assert bytes(tail.kept) == everything[-limit:]
    assert tail.dropped + len(tail.kept) == len(everything)


@given(st.lists(st.text("ab\n", max_size=8).map(str.encode)), st.integers(1, 30))
def test_lines_taken_while_it_grows_are_lines_of_everything_and_in_order(chunks: list[bytes], limit: int) -> None:
    tail, position = Tail(limit), 0
    taken: list[bytes] = []
    for chunk in chunks:
        tail.add(chunk)
        while True:
            line, position = tail.line_from(position)
            if not line:
                break
            taken.append(line)
    everything = b"".join(chunks)

    assert all(line.endswith(b"\n") and b"\n" not in line[:-1] for line in taken)
    if len(everything) <= limit:
        assert b"".join(taken) == everything[: everything.rfind(b"\n") + 1]
    start = 0
    for line in taken:  # each is found after the one before
        start = everything.index(line, start) + len(line)
