"""Hooks of the plugin `pool`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import click

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_pool.collector import PoolCollector
from plugin_pool.configured import configured
from plugin_pool.measures import Measures
from plugin_pool.pool import ResourcePool
from plugin_pool.provider import PoolProvider


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
        """Return the command; what it needs is imported now, because it is about to run."""
        from plugin_pool.command import why

        return [why]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collector."""
        return [PoolCollector(self.pool)]

    @cached_property
    def measures(self) -> Measures:
        """What is exported of the pool."""
        return Measures(self.pool)

    async def initialize(self) -> None:
        """Have the pool measured, where there is a host."""
        if self.host is not None:
            self.measures.start()

    async def cleanup(self) -> None:
        """End the thread that ends allocations, and measure no more."""
        if self.host is not None:
            self.measures.stop()
        self.pool.close()
