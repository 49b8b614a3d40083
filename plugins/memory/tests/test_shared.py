from __future__ import annotations

import asyncio
import os

import pytest

from framework.errors import FrameworkError, ResourceUnavailableError
from plugin_memory import MemoryProvider, shm

pytestmark = pytest.mark.anyio

CHUNKS = 3 * (16 << 20)  # reserved in three steps, between which others run


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{shm.segment_name(name)}")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_the_release_removes_the_segment(provider: MemoryProvider, unique: str) -> None:
    memory = await provider.create_shared_memory(unique, 1024)
    assert memory.is_allocated()
    assert exists(unique)
    await memory.release()
    assert not memory.is_allocated()
    assert not exists(unique)


async def test_releasing_twice_is_harmless_even_when_the_name_is_taken_again(
    provider: MemoryProvider, unique: str
) -> None:
    first = await provider.create_shared_memory(unique, 1024)
    await first.release()
    second = await provider.create_shared_memory(unique, 1024)
    await first.release()
    assert exists(unique)
    await second.release()


async def test_a_segment_is_private_to_its_user(provider: MemoryProvider, unique: str) -> None:
    former = os.umask(0)
    try:
        memory = await provider.create_shared_memory(unique, 10)
    finally:
        os.umask(former)
    assert os.stat(f"/dev/shm/{memory.segment}").st_mode & 0o7777 == 0o600


async def test_all_of_a_segment_is_reserved_and_zero(provider: MemoryProvider, unique: str) -> None:
    memory = await provider.create_shared_memory(unique, CHUNKS)
    assert os.stat(f"/dev/shm/{memory.segment}").st_blocks * 512 >= CHUNKS
    assert memory.size == len(memory.buffer) == CHUNKS
    assert memory.buffer[0] == memory.buffer[-1] == 0


async def test_a_persistent_segment_stays_until_it_is_removed(provider: MemoryProvider, unique: str) -> None:
    async with await provider.create_shared_memory(unique, 10, persistent=True) as memory:
        memory.buffer[0] = 9
    assert exists(unique)
    async with await provider.attach_shared_memory(unique) as again:
        assert again.buffer[0] == 9
    await provider.remove_shared_memory(unique)
    assert not exists(unique)


async def test_an_attached_segment_can_be_removed_and_stays_mapped(provider: MemoryProvider, unique: str) -> None:
    owner = await provider.create_shared_memory(unique, 10, persistent=True)
    attached = await provider.attach_shared_memory(unique)
    attached.remove()
    attached.remove()
    assert not exists(unique)
    owner.buffer[0] = 5
    assert attached.buffer[0] == 5


async def test_slices_in_use_do_not_keep_the_segment_nor_its_descriptor(
    provider: MemoryProvider, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = open_descriptors()
    memory = await provider.create_shared_memory(unique, 10)
    kept = memory.buffer[2:4]
    with caplog.at_level("WARNING", logger="framework"):
        await memory.release()
    assert not exists(unique)
    assert not memory.is_allocated()
    assert "memory_view_outlives_lease" in caplog.text
    kept[0] = 8  # still mapped: no crash
    assert kept[0] == 8
    del kept
    caplog.clear()
    assert open_descriptors() == before


async def test_an_export_of_the_buffer_itself_does_not_fail_the_release(provider: MemoryProvider, unique: str) -> None:
    memory = await provider.create_shared_memory(unique, 8)
    kept = memory.buffer.cast("Q")
    await memory.release()
    kept[0] = 1 << 40
    assert kept[0] == 1 << 40
    assert not exists(unique)


async def test_a_vanished_segment_is_released_quietly(provider: MemoryProvider, unique: str) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    os.unlink(f"/dev/shm/{memory.segment}")
    await memory.release()
    assert not memory.is_allocated()


async def test_a_segment_that_somebody_else_put_in_its_place_is_not_removed(
    provider: MemoryProvider, unique: str
) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    path = f"/dev/shm/{memory.segment}"
    os.unlink(path)
    with open(path, "wb") as stranger:
        stranger.write(b"mine")
    await memory.release()
    with open(path, "rb") as stranger:
        assert stranger.read() == b"mine"
    os.unlink(path)


async def test_a_pipe_that_somebody_put_in_its_place_does_not_hang_the_release(
    provider: MemoryProvider, unique: str
) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    path = f"/dev/shm/{memory.segment}"
    os.unlink(path)
    os.mkfifo(path)
    await memory.release()
    with pytest.raises(ResourceUnavailableError, match="not complete"):
        await provider.attach_shared_memory(unique)
    os.unlink(path)


async def test_cleanup_releases_everything_and_refuses_more(unique: str) -> None:
    provider = MemoryProvider()
    await provider.initialize()
    held = [await provider.create_shared_memory(f"{unique}{number}", 10) for number in range(5)]
    await provider.cleanup()
    assert not any(memory.is_allocated() for memory in held)
    assert not any(exists(memory.name) for memory in held)
    with pytest.raises(FrameworkError, match="not initialized"):
        await provider.create_shared_memory(unique, 10)


async def test_a_cancelled_creation_leaves_nothing(provider: MemoryProvider, unique: str) -> None:
    before = open_descriptors()
    creation = asyncio.create_task(provider.create_shared_memory(unique, CHUNKS))
    await asyncio.sleep(0)  # the first of three steps
    creation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creation
    assert not exists(unique)
    assert provider.ledger.statistics().held_bytes == 0
    assert open_descriptors() == before
