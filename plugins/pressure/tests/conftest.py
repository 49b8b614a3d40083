from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import pytest

PATIENCE = 60.0
"""Seconds that tests wait for what must come: the machine may do something else meanwhile."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        await anyio.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], object]:
    """What waits for a condition."""
    return until
