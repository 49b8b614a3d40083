from collections.abc import AsyncIterator

import pytest

from plugin_executors import ExecutorsProvider, ExecutorsSettings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provider() -> AsyncIterator[ExecutorsProvider]:
    """A provider whose executors give running tasks a tenth of a second to end."""
    provider = ExecutorsProvider(ExecutorsSettings(stop_grace=0.1))
    await provider.initialize()
    yield provider
    await provider.cleanup()
