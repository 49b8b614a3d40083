from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from framework.errors import (
    ResourceUnavailableError,
)
from plugin_memory import MemoryProvider, shm

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{shm.segment_name(name)}")


async def test_what_is_written_is_read_by_another_process(provider: MemoryProvider, unique: str, run: Script) -> None:
    memory = await provider.create_shared_memory(unique, 4096)
    memory.buffer[:5] = b"hello"
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            async with await provider.attach_shared_memory(sys.argv[1]) as memory:
                report(text=bytes(memory.buffer[:5]).decode(), size=memory.size)
                memory.buffer[:5] = b"world"
        asyncio.run(main())
        """,
        unique,
    )
    assert found == {"text": "hello", "size": 4096}
    assert bytes(memory.buffer[:5]) == b"world"


async def test_the_exit_of_an_attached_process_leaves_the_segment(
    provider: MemoryProvider, unique: str, run: Script
) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    memory.buffer[0] = 7
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            memory = await provider.attach_shared_memory(sys.argv[1])
            report(value=memory.buffer[0])
        asyncio.run(main())
        """,
        unique,
    )
    assert found == {"value": 7}
    assert exists(unique)
    async with await provider.attach_shared_memory(unique) as again:
        assert again.buffer[0] == 7


async def test_the_standard_library_attaches_by_the_segment(provider: MemoryProvider, unique: str, run: Script) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    memory.buffer[:2] = b"hi"
    found = run(
        """
        from multiprocessing import resource_tracker, shared_memory
        other = shared_memory.SharedMemory(name=sys.argv[1])
        resource_tracker.unregister("/" + sys.argv[1], "shared_memory")
        report(text=bytes(other.buf[:2]).decode(), size=other.size)
        other.close()
        """,
        memory.segment,
    )
    assert found == {"text": "hi", "size": 10}


async def test_another_user_can_neither_open_nor_remove_a_segment(
    provider: MemoryProvider, unique: str, as_nobody: tuple[str, ...], run: Script
) -> None:
    await provider.create_shared_memory(unique, 10)
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            report(
                attach=await refused(provider.attach_shared_memory(sys.argv[1])),
                remove=await refused(provider.remove_shared_memory(sys.argv[1])),
                create=await refused(provider.create_shared_memory(sys.argv[1], 10)),
            )
        asyncio.run(main())
        """,
        unique,
        prefix=as_nobody,
    )
    assert {name for name, _ in found.values()} == {ResourceUnavailableError.__name__}
    assert exists(unique)


async def test_a_forked_child_does_not_remove_its_parents_segment(run: Script, unique: str) -> None:
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            return provider, await provider.create_shared_memory(sys.argv[1], 10)
        provider, memory = asyncio.run(main())
        path = "/dev/shm/" + memory.segment
        child = os.fork()
        if child == 0:
            asyncio.run(provider.cleanup())
            os._exit(memory.is_allocated())
        _, status = os.waitpid(child, 0)
        kept = os.path.exists(path)
        asyncio.run(provider.cleanup())
        report(child=status, kept=kept, left=os.path.exists(path))
        """,
        unique,
    )
    assert found == {"child": 0, "kept": True, "left": False}


async def test_two_processes_that_race_for_a_name_get_one_segment(unique: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from framework.errors import ResourceUnavailableError\n"
        "from plugin_memory import MemoryProvider\n"
        "async def main():\n"
        "    provider = MemoryProvider()\n"
        "    await provider.initialize()\n"
        "    sys.stdin.readline()\n"
        "    try:\n"
        "        memory = await provider.create_shared_memory(sys.argv[1], 10)\n"
        "    except ResourceUnavailableError:\n"
        "        print('refused', flush=True)\n"
        "        return\n"
        "    print('created', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    await memory.release()\n"
        "asyncio.run(main())\n"
    )
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program, unique],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                )
            )
            for _ in range(2)
        ]
        for racer in racers:
            assert racer.stdin
            racer.stdin.write("go\n")
        answers = sorted(racer.stdout.readline().strip() for racer in racers if racer.stdout)
        for racer in racers:
            racer.communicate("done\n")
    assert answers == ["created", "refused"]
    assert not exists(unique)
