from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from framework.errors import InvalidRequestError, LeaseStateError, ResourceLimitError, ResourceUnavailableError
from plugin_memory import MemoryProvider

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


async def test_a_buffer_is_zeroed_writable_and_of_the_size_asked_for(provider: MemoryProvider) -> None:
    async with await provider.create_buffer("b", 5000) as buffer:
        assert buffer.size == len(buffer.buffer) == 5000
        assert bytes(buffer.buffer) == bytes(5000)
        buffer.buffer[4999] = 1
        assert buffer.buffer[4999] == 1
    assert not buffer.is_allocated()


async def test_a_released_buffer_cannot_be_seen(provider: MemoryProvider) -> None:
    buffer = await provider.create_buffer("b", 10)
    await buffer.release()
    await buffer.release()
    with pytest.raises(LeaseStateError):
        _ = buffer.buffer
    assert provider.ledger.statistics().held_bytes == 0


async def test_a_release_gives_the_pages_back(provider: MemoryProvider) -> None:
    size = 64 << 20

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    buffer = await provider.create_buffer("b", size)
    buffer.buffer[:] = bytes(size)
    full = resident()
    await buffer.release()
    assert full - resident() > size * 0.9


async def test_a_slice_in_use_survives_the_release(provider: MemoryProvider) -> None:
    buffer = await provider.create_buffer("b", 10)
    kept = buffer.buffer[3:]
    await buffer.release()
    kept[0] = 4
    assert kept[0] == 4


async def test_size_zero_is_refused(provider: MemoryProvider) -> None:
    with pytest.raises(InvalidRequestError, match="size 0"):
        await provider.create_buffer("b", 0)


@pytest.mark.parametrize("size", [1 << 45, 1 << 100])
async def test_more_than_the_machine_has_is_refused(provider: MemoryProvider, size: int) -> None:
    with pytest.raises(ResourceLimitError, match=rf"{size}, but this machine has \d+ bytes"):
        await provider.create_buffer("b", size)


async def test_no_address_space_is_an_error(run: Script) -> None:
    found = run(
        """
        import resource
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
            refusal = await refused(provider.create_buffer("b", 2 << 30))
            report(refused=refusal, held=provider.ledger.statistics().held_bytes)
        asyncio.run(main())
        """
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert f"size {2 << 30}" in found["refused"][1]
    assert found["held"] == 0


async def test_a_forked_child_writes_to_its_own_copy(run: Script) -> None:
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            return await provider.create_buffer("b", 10)
        memory = asyncio.run(main())
        child = os.fork()
        if child == 0:
            memory.buffer[0] = 1
            os._exit(memory.buffer[0])
        _, status = os.waitpid(child, 0)
        report(child=os.waitstatus_to_exitcode(status), parent=memory.buffer[0])
        """
    )
    assert found == {"child": 1, "parent": 0}
