"""Where what a child reads comes from, and where what it writes goes."""

import asyncio
import subprocess
import sys

import anyio
import pytest

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_process import ProcessProvider

pytestmark = pytest.mark.anyio


async def test_what_is_written_to_an_open_pipe_is_read_as_it_comes(provider: ProcessProvider) -> None:
    child = await provider.create_local_process("p", "cat", stdin="pipe")
    assert child.stdin is not None
    lines = child.lines()

    for word in (b"one\n", b"two\n"):
        await child.stdin.write(word)
        assert await anext(lines) == word
    child.stdin.close()

    assert await child.wait() == 0
    assert child.stdin.closed


async def test_writers_take_turns_and_wait_for_the_child_to_read(provider: ProcessProvider) -> None:
    child = await provider.create_local_process("p", "sort -u | wc -lc", shell=True, stdin="pipe")
    assert child.stdin is not None
    line = b"x" * 999_999 + b"\n"

    await asyncio.gather(*(child.stdin.write(line) for _ in range(5)))
    child.stdin.close()

    assert (await child.output()).stdout.split() == [b"1", b"1000000"]


async def test_writing_to_a_child_that_does_not_read_is_an_error(provider: ProcessProvider) -> None:
    child = await provider.create_local_process("p", "true", stdin="pipe")
    await child.wait()
    assert child.stdin is not None

    with pytest.raises(ResourceUnavailableError, match="does not read any more; 3 of 3 bytes"):
        await child.stdin.write(b"abc")


async def test_release_wakes_whoever_writes(provider: ProcessProvider) -> None:
    child = await provider.create_local_process("p", "sleep", args=["100"], stdin="pipe")
    assert child.stdin is not None
    writing = asyncio.create_task(child.stdin.write(bytes(1 << 20)))
    await anyio.wait_all_tasks_blocked()

    await child.release()

    with pytest.raises(ResourceUnavailableError, match="does not read any more"):
        await writing


async def test_a_writer_that_is_cancelled_makes_room_for_the_next_one(provider: ProcessProvider) -> None:
    child = await provider.create_local_process("p", "sleep", args=["100"], stdin="pipe")
    assert child.stdin is not None
    first = asyncio.create_task(child.stdin.write(bytes(1 << 20)))
    await anyio.wait_all_tasks_blocked()
    second = asyncio.create_task(child.stdin.write(b"abc"))
    await anyio.wait_all_tasks_blocked()

    first.cancel()
    await asyncio.wait([first])
    await anyio.wait_all_tasks_blocked()
    child.terminate()  # the pipe has no reader any more, which the one whose turn it is notices

    with pytest.raises(ResourceUnavailableError, match="3 of 3 bytes were not written"):
        await second


async def test_messages_are_mixed_into_the_output_or_discarded(provider: ProcessProvider) -> None:
    script = "echo one; echo two >&2; echo three"
    mixed = await provider.create_local_process("p", script, shell=True, stderr="stdout")
    quiet = await provider.create_local_process("q", script, shell=True, stdout="discard", stderr="discard")

    assert (await mixed.output()).stdout == b"one\ntwo\nthree\n"
    output = await quiet.output()
    assert (output.stdout, output.stderr, output.truncated) == (b"", b"", False)
    with pytest.raises(InvalidRequestError, match="does not capture its standard output"):
        quiet.lines()


INHERITING = """
import asyncio
from plugin_process import ProcessProvider


async def main():
    provider = ProcessProvider()
    await provider.initialize()
    streams = dict.fromkeys(["stdin", "stdout", "stderr"], "inherit")
    for more in ({}, {"nice": 1}):
        async with await provider.create_local_process(
            "p", "read x; echo out $x; echo err >&2", shell=True, **streams, **more
        ) as child:
            assert (await child.output()).stdout == b""
    await provider.cleanup()


asyncio.run(main())
"""


def test_inherited_streams_are_those_of_this_process() -> None:
    done = subprocess.run([sys.executable, "-c", INHERITING], input=b"a\nb\n", capture_output=True, check=False)

    assert (done.stdout, done.stderr) == (b"out a\nout b\n", b"err\nerr\n")
