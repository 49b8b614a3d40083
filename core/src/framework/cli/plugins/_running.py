"""For the verbs that must start the enabled plugins to know what they show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from framework.cli.context import Context

if TYPE_CHECKING:
    from framework.host import Framework

T = TypeVar("T")


def running(context: Context, read: Callable[[Framework], T]) -> T:
    """Start every enabled plugin, return what is read of the host, and stop them again."""

    async def run() -> T:
        async with context.open() as host:
            await host.plugins.activate_all()
            return read(host)

    return asyncio.run(run())
