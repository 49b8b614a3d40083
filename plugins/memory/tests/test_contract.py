"""The conformance suites, applied to this plugin."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from framework import CleanupParticipant, MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, ParticipantContract, PluginContract, ProviderContract
from plugin_memory import MemoryProvider
from plugin_memory.collector import CacheParticipant, MemoryCollector


class Requests:
    @pytest.fixture
    async def requests(self) -> AsyncIterator[dict[str, dict[str, Any]]]:
        provider = MemoryProvider()
        await provider.initialize()
        async with await provider.create_shared_memory(name=f"contract-{uuid.uuid4()}", size=4096) as shared:
            yield {
                "memory.shared": {"size": 4096},
                "memory.buffer": {"size": 4096},
                "memory.cache": {"size": 4096},
                "memory.attached": {"name": shared.name},
            }


class TestContract(Requests, PluginContract):
    subject = "memory"


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return MemoryProvider()


class TestCollector(CollectorContract):
    @pytest.fixture
    def collector(self) -> MetricsCollector:
        return MemoryCollector(MemoryProvider())


class TestParticipant(ParticipantContract):
    @pytest.fixture
    def participant(self) -> Iterator[CleanupParticipant]:
        provider = MemoryProvider()
        asyncio.run(provider.initialize())
        cache = asyncio.run(provider.create_cache(name="c", size=1 << 20))
        for number in range(100):
            cache.set(number, bytes(1000))
        yield CacheParticipant(provider)
        asyncio.run(cache.release())
