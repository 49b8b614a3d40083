"""Opens the pool that a command looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from framework import CommandContext
from plugin_pool.pool import ResourcePool

T = TypeVar("T")


def with_pool(context: CommandContext, use: Callable[[ResourcePool], T]) -> T:
    """Return what a function makes of the pool that the configuration describes."""

    async def opened() -> T:
        async with context.open() as host:
            return use(await host.service("pool"))

    return asyncio.run(opened())
