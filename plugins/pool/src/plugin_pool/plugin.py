"""Hooks of the plugin `pool`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import click

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_pool.hookspecs import PoolHooks
from plugin_pool.hosting.attachment import Attachment
from plugin_pool.hosting.collector import PoolCollector
from plugin_pool.hosting.configured import configured
from plugin_pool.hosting.provider import PoolProvider
from plugin_pool.pool import ResourcePool
from plugin_pool.settings import PoolSettings


class PoolPlugin(Plugin):
    """Registers the pool as the service `pool`, and its measurements."""

    @cached_property
    def pool(self) -> ResourcePool:
        """The pool, with the entities that the configuration lists."""
        return configured(self.settings, self.host)

    @cached_property
    def provider(self) -> PoolProvider:
        """The provider of the pool's entities."""
        return PoolProvider(self.pool)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return what lends the entities through the host."""
        return [self.provider]

    @hookimpl
    def register_services(self) -> Mapping[str, object]:
        """Return the pool."""
        return {"pool": self.pool}

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Return the commands; what they need is imported now, because one is about to run."""
        from plugin_pool.cli.pool import pool
        from plugin_pool.cli.why import why

        return [pool, why]

    @hookimpl
    def add_hookspecs(self) -> list[type]:
        """Return the hooks by which others learn what is blocked, add rules, and say what they still hold."""
        return [PoolHooks]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collector; as often as it is asked, it is seen whether anybody listens to events."""
        return [PoolCollector(self.pool, self.attachment.adjust if self.attachment else None)]

    @cached_property
    def attachment(self) -> Attachment | None:
        """What the pool does in a host, from its registration on; None without one."""
        settings = self.settings or PoolSettings()
        if self.host is None:
            return None
        made = Attachment(
            self.pool, self.host, warn_after=settings.warn_after, rules=settings.rules, answer=settings.answer
        )
        made.start()
        return made

    async def cleanup(self) -> None:
        """Detach it, end the thread that ends allocations, and let go of the directory in which the pool is kept."""
        try:
            if (attached := self.__dict__.get("attachment")) is not None:  # it was never made if registering failed
                with ThreadPoolExecutor(1, "pool-end") as thread:  # it waits for hooks, and they may wait for this loop
                    await asyncio.get_running_loop().run_in_executor(thread, attached.stop)
        finally:
            self.pool.close()
