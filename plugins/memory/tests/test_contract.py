"""The conformance suite, applied to this plugin."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from framework.testing import PluginContract
from plugin_memory import MemoryProvider


class TestContract(PluginContract):
    subject = "memory"

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
