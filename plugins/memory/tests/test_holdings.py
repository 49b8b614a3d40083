from __future__ import annotations

import pytest

from framework import MetricsCollector
from framework.errors import ResourceLimitError, ResourceUnavailableError
from plugin_memory import MemoryProvider

pytestmark = pytest.mark.anyio


async def capped(max_bytes: int) -> MemoryProvider:
    provider = MemoryProvider(max_bytes=max_bytes)
    await provider.initialize()
    return provider


async def test_the_cap_counts_both_kinds_together_and_names_the_numbers(unique: str) -> None:
    provider = await capped(100)
    await provider.create_shared_memory(unique, 40)
    await provider.create_buffer("b", 50)
    with pytest.raises(ResourceLimitError, match="got size 11, but of the 100 bytes that max_bytes allows 90 are held"):
        await provider.create_buffer("c", 11)
    await provider.create_buffer("c", 10)
    await provider.cleanup()


async def test_what_is_released_can_be_taken_again(unique: str) -> None:
    provider = await capped(100)
    for _ in range(3):
        async with await provider.create_shared_memory(unique, 100):
            assert provider.holdings.held_bytes == 100
    assert provider.holdings.held_bytes == 0


async def test_a_cap_of_nothing_allows_nothing() -> None:
    provider = await capped(0)
    with pytest.raises(ResourceLimitError, match="of the 0 bytes"):
        await provider.create_buffer("b", 1)


async def test_a_failed_creation_is_not_counted(unique: str) -> None:
    provider = await capped(100)
    memory = await provider.create_shared_memory(unique, 30)
    with pytest.raises(ResourceUnavailableError):
        await provider.create_shared_memory(unique, 30)
    assert provider.holdings.held_bytes == 30
    await memory.release()


async def test_attached_memory_is_not_counted_twice(unique: str) -> None:
    provider = await capped(30)
    await provider.create_shared_memory(unique, 30)
    attached = await provider.attach_shared_memory(unique)
    assert attached.size == 30
    assert provider.holdings.held_bytes == 30
    await provider.cleanup()


async def test_measurements_name_bytes_and_resources_by_kind(provider: MemoryProvider, unique: str) -> None:
    assert isinstance(provider.holdings, MetricsCollector)
    await provider.create_shared_memory(unique, 40)
    await provider.create_buffer("b", 50)
    await provider.create_buffer("c", 5)
    assert provider.holdings.collect() == {
        "framework_memory_shared_bytes": 40,
        "framework_memory_shared_resources": 1,
        "framework_memory_buffer_bytes": 55,
        "framework_memory_buffer_resources": 2,
    }
