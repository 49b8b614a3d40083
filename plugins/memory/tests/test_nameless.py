from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError
from plugin_memory import MemoryProvider, SharedMemory, shm

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no memory without a name"),
]

Script = Callable[..., dict[str, Any]]

ATTACH = """
async def main():
    provider = MemoryProvider()
    await provider.initialize()
    async with await provider.create("memory.attached", path=sys.argv[1]) as memory:
        report(text=bytes(memory.buffer[:5]).decode(), size=memory.size)
        memory.buffer[:5] = b"world"
asyncio.run(main())
"""


async def nameless(provider: MemoryProvider, size: int = 4096) -> SharedMemory:
    memory = await provider.create("memory.shared", size=size)
    assert isinstance(memory, SharedMemory)
    return memory


async def test_what_has_no_name_is_in_no_folder_and_leaves_no_descriptor(provider: MemoryProvider) -> None:
    folder, descriptors = os.listdir("/dev/shm"), os.listdir("/proc/self/fd")
    memory = await nameless(provider)
    assert os.listdir("/dev/shm") == folder
    assert memory.segment == ""
    assert memory.fd is not None
    memory.remove()  # there is no name to remove
    assert memory.is_allocated()
    await memory.release()
    assert memory.fd is None
    assert os.listdir("/proc/self/fd") == descriptors


async def test_another_process_attaches_by_the_path(provider: MemoryProvider, run: Script) -> None:
    memory = await nameless(provider)
    memory.buffer[:5] = b"hello"
    assert run(ATTACH, memory.path) == {"text": "hello", "size": 4096}
    assert bytes(memory.buffer[:5]) == b"world"


async def test_a_child_attaches_by_the_descriptor_it_inherits(provider: MemoryProvider, prelude: str) -> None:
    memory = await nameless(provider)
    memory.buffer[:5] = b"hello"
    assert memory.fd is not None
    subprocess.run(
        [sys.executable, "-c", prelude + ATTACH, f"/proc/self/fd/{memory.fd}"],
        pass_fds=[memory.fd],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    assert bytes(memory.buffer[:5]) == b"world"


async def test_who_attached_keeps_it_when_its_creator_is_killed(provider: MemoryProvider, prelude: str) -> None:
    body = """
async def main():
    provider = MemoryProvider()
    await provider.initialize()
    memory = await provider.create("memory.shared", size=10)
    memory.buffer[0] = 9
    print(memory.path, flush=True)
    sys.stdin.read()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", prelude + body], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as creator:
        assert creator.stdout is not None
        path = creator.stdout.readline().strip()
        memory = await provider.create("memory.attached", path=path)
        creator.send_signal(signal.SIGKILL)
        creator.wait(timeout=60)
    assert isinstance(memory, SharedMemory)
    assert memory.buffer[0] == 9
    with pytest.raises(ResourceUnavailableError, match="no such file"):
        await provider.create("memory.attached", path=path)


async def test_nobody_can_make_it_smaller(provider: MemoryProvider) -> None:
    memory = await nameless(provider)
    with open(memory.path, "r+b") as file, pytest.raises(PermissionError):
        file.truncate(0)
    memory.buffer[4095] = 1


async def test_all_of_it_is_reserved_and_for_this_user_alone(provider: MemoryProvider) -> None:
    memory = await nameless(provider, 1 << 20)
    assert memory.fd is not None
    found = os.fstat(memory.fd)
    assert found.st_blocks * 512 >= 1 << 20
    assert found.st_mode & 0o7777 == 0o600


async def test_it_writes_nothing_to_the_journal(provider: MemoryProvider, journalled: Callable[[], list[str]]) -> None:
    held = [await nameless(provider), await provider.create("memory.buffer", size=10)]
    held.append(await provider.create("memory.cache", size=1000))
    assert journalled() == []
    assert all(one.is_allocated() for one in held)


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/fd/", "/proc/1/fd/../../x", "", "fd/3", "/proc/01/fd/1\n"])
async def test_other_paths_are_refused(provider: MemoryProvider, path: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"allowed: /proc/PID/fd/NUMBER"):
        await provider.create("memory.attached", path=path)


async def test_a_descriptor_of_something_else_is_refused(provider: MemoryProvider, tmp_path: Path) -> None:
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"data")
        file.flush()
        with pytest.raises(ResourceUnavailableError, match="leads to no shared memory"):
            await provider.create("memory.attached", path=f"/proc/self/fd/{file.fileno()}")
    reader, writer = os.pipe()
    with pytest.raises(ResourceUnavailableError, match="leads to no shared memory"):
        await provider.create("memory.attached", path=f"/proc/self/fd/{reader}")
    os.close(reader)
    os.close(writer)


async def test_one_that_is_not_complete_is_refused(provider: MemoryProvider) -> None:
    descriptor = shm.nameless("framework.test")
    assert descriptor is not None
    os.ftruncate(descriptor, 10)
    with pytest.raises(ResourceUnavailableError, match="not complete"):
        await provider.create("memory.attached", path=f"/proc/self/fd/{descriptor}")
    os.close(descriptor)


async def test_another_user_is_refused(provider: MemoryProvider, run: Script, as_nobody: tuple[str, ...]) -> None:
    memory = await nameless(provider)
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            report(refused=await refused(provider.create("memory.attached", path=sys.argv[1])))
        asyncio.run(main())
        """,
        memory.path,
        prefix=as_nobody,
    )
    assert found["refused"][0] in {ResourceUnavailableError.__name__, PolicyError.__name__}


async def test_neither_name_nor_path_is_refused(provider: MemoryProvider) -> None:
    with pytest.raises(InvalidRequestError, match="neither name nor path"):
        await provider.create("memory.attached")


async def test_only_what_has_a_name_can_be_persistent(provider: MemoryProvider) -> None:
    with pytest.raises(InvalidRequestError, match="persistent=True without a name"):
        await provider.create("memory.shared", size=10, persistent=True)


async def test_a_cancelled_creation_leaves_no_descriptor(provider: MemoryProvider) -> None:
    before = os.listdir("/proc/self/fd")
    creation = asyncio.create_task(provider.create("memory.shared", size=3 * (16 << 20)))
    await asyncio.sleep(0)  # the first of three steps
    creation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creation
    assert os.listdir("/proc/self/fd") == before


async def test_without_such_memory_a_made_up_name_takes_its_place(
    provider: MemoryProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")  # as on macOS
    async with await nameless(provider) as memory:
        assert os.path.exists(memory.path)
        async with await provider.attach_shared_memory(memory.name) as attached:
            memory.buffer[0] = 3
            assert attached.buffer[0] == 3
    assert not os.path.exists(memory.path)


async def test_no_descriptor_left_is_an_error(run: Script) -> None:
    found = run(
        """
        import resource
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
            held, last = [], ["", ""]
            while not last[0]:
                try:
                    held.append(await provider.create("memory.shared", size=10))
                except FrameworkError as error:
                    last = [type(error).__name__, str(error)]
            for one in held:
                await one.release()
            report(refused=last, left=len(provider.lent()))
        asyncio.run(main())
        """
    )
    assert found["refused"][0] == "ResourceLimitError"
    assert "too many open files" in found["refused"][1]
    assert found["left"] == 0
