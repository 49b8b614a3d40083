"""Hooks of the plugin `pool`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import click

from framework import MetricsCollector, Plugin, hookimpl
from plugin_pool.collector import PoolCollector
from plugin_pool.configured import configured
from plugin_pool.hookspecs import PoolHooks
from plugin_pool.pool import ResourcePool


class PoolPlugin(Plugin):
    """Registers the pool as the service `pool`, and its measurements."""

    @cached_property
    def pool(self) -> ResourcePool:
        """The pool, with the entities that the configuration lists."""
        return configured(self.settings, self.host)

    @hookimpl
    def add_hookspecs(self) -> list[type]:
        """Return the hook by which a kept pool asks whose its allocations are."""
        return [PoolHooks]

    @hookimpl
    def register_services(self) -> Mapping[str, object]:
        """Return the pool."""
        return {"pool": self.pool}

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Return the command; what it needs is imported now, because it is about to run."""
        from plugin_pool.command import why

        return [why]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collector."""
        return [PoolCollector(self.pool)]

    async def cleanup(self) -> None:
        """End the thread that ends allocations, and let go of the directory in which the pool is kept."""
        self.pool.close()
