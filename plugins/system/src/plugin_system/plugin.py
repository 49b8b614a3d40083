"""The hooks of the system plugin."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

from framework import MetricsCollector, Plugin, hookimpl
from plugin_system.defaults import Defaults

if TYPE_CHECKING:
    import click

    from plugin_system.registration import Registration


class SystemPlugin(Plugin):
    """Registers the collectors, the service `metrics` and the command `metrics`."""

    settings: Any = Defaults()

    @cached_property
    def registration(self) -> Registration:
        """What is registered; made on first use, because the command alone needs none of it."""
        from plugin_system.registration import Registration

        return Registration(self.settings, lambda: self.host.metrics if self.host else {})

    async def initialize(self) -> None:
        """Time the garbage collection, and watch the alerts of the configuration."""
        self.registration.start(asyncio.get_running_loop())

    async def cleanup(self) -> None:
        """Stop that, and close the files that were kept open."""
        self.registration.stop()

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return the collectors; that of the alerts is the last one, and sees what the others measured."""
        return list(self.registration.collectors)

    @hookimpl
    def register_services(self) -> dict[str, object]:
        """Return what applications measure with."""
        return {"metrics": self.registration.service}

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Return the command group; what it needs is imported now, because it is about to run."""
        from plugin_system.command import metrics

        return [metrics]
