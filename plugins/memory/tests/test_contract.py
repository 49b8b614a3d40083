"""The conformance suites, applied to this plugin."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from framework import MetricsCollector, ResourceProvider
from framework.testing import CollectorContract, PluginContract, ProviderContract
from plugin_memory import MemoryProvider


class Requests:
    @pytest.fixture
    async def requests(self) -> AsyncIterator[dict[str, dict[str, Any]]]:
        provider = MemoryProvider()
        await provider.initialize()
        async with await provider.create_shared_memory(name=f"contract-{uuid.uuid4()}", size=4096) as shared:
            yield {
                "memory.shared": {"size": 4096},
                "memory.buffer": {"size": 4096},
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
        return MemoryProvider().holdings
