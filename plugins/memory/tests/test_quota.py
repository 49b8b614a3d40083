from __future__ import annotations

import pytest

from framework import MetricsCollector
from framework.errors import ResourceLimitError, ResourceUnavailableError
from plugin_memory import MemoryProvider
from plugin_memory.collector import MemoryCollector

pytestmark = pytest.mark.anyio


async def capped(max_bytes: int) -> MemoryProvider:
    provider = MemoryProvider(max_bytes=max_bytes)
    await provider.initialize()
    return provider


async def test_the_cap_counts_all_kinds_together_and_names_the_numbers(unique: str) -> None:
    provider = await capped(100)
    held = [
        await provider.create_shared_memory(unique, 40),
        await provider.create_buffer("b", 30),
        await provider.create_cache("c", 20),
    ]
    with pytest.raises(
        ResourceLimitError,
        match=r"asked for 11 bytes, but of the 100 bytes that plugins\.memory\.max_bytes allows, 90 are held",
    ):
        await provider.create_buffer("c", 11)
    held.append(await provider.create_buffer("c", 10))
    await provider.cleanup()
    assert not any(one.is_allocated() for one in held)


async def test_what_is_released_can_be_taken_again(unique: str) -> None:
    provider = await capped(100)
    for _ in range(3):
        async with await provider.create_shared_memory(unique, 100):
            assert provider.ledger.statistics().held_bytes == 100
    assert provider.ledger.statistics().held_bytes == 0


async def test_a_cap_of_nothing_allows_nothing() -> None:
    provider = await capped(0)
    with pytest.raises(ResourceLimitError, match="of the 0 bytes"):
        await provider.create_buffer("b", 1)


async def test_a_failed_creation_is_not_counted(unique: str) -> None:
    provider = await capped(100)
    memory = await provider.create_shared_memory(unique, 30)
    with pytest.raises(ResourceUnavailableError):
        await provider.create_shared_memory(unique, 30)
    assert provider.ledger.statistics().held_bytes == 30
    await memory.release()


async def test_attached_memory_is_not_counted_twice(unique: str) -> None:
    provider = await capped(30)
    memory = await provider.create_shared_memory(unique, 30)
    attached = await provider.attach_shared_memory(unique)
    assert attached.size == 30
    assert provider.ledger.statistics().held_bytes == 30
    await provider.cleanup()
    assert not memory.is_allocated()


async def test_measurements_name_bytes_and_resources_by_kind(provider: MemoryProvider, unique: str) -> None:
    collector: MetricsCollector = MemoryCollector(provider)
    held = [
        await provider.create_shared_memory(unique, 40),
        await provider.create_buffer("b", 50),
        await provider.create_buffer("c", 5),
    ]
    cache = await provider.create_cache("d", 10_000)
    cache.set("a", b"x", size=100)
    cache.get("a")
    cache.get("b")
    assert collector.collect() == {
        "framework_memory_shared_bytes": 40,
        "framework_memory_shared_resources": 1,
        "framework_memory_buffer_bytes": 55,
        "framework_memory_buffer_resources": 2,
        "framework_memory_cache_bytes": 10_000,
        "framework_memory_cache_resources": 1,
        "framework_memory_cache_entries": 1,
        "framework_memory_cache_used_bytes": cache.statistics().bytes,
        "framework_memory_cache_hits": 1,
        "framework_memory_cache_misses": 1,
        "framework_memory_cache_evictions": 0,
        "framework_memory_cache_expirations": 0,
    }
    assert all(one.is_allocated() for one in held)
