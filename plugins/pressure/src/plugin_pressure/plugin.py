"""The hooks of the pressure plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framework import MetricsCollector, Plugin, hookimpl
from plugin_pressure.collector import PressureCollector
from plugin_pressure.hookspecs import PressureHooks
from plugin_pressure.monitor import Monitor
from plugin_pressure.options import Options
from plugin_pressure.service import Pressure

if TYPE_CHECKING:
    import click


class PressurePlugin(Plugin):
    """Watches the memory of its host, from its start to its end; without a host there is nothing to watch for."""

    settings: Any = Options()
    _monitor: Monitor | None = None

    async def initialize(self) -> None:
        """Begin to watch."""
        if self.host is not None:
            self._monitor = Monitor(self.host, _options(self.settings))
            self._monitor.start()

    async def cleanup(self) -> None:
        """End the thread, and let everybody go on that waits."""
        if self._monitor is not None:
            self._monitor.stop()

    @hookimpl
    def add_hookspecs(self) -> list[type]:
        """Return the hook by which others learn of a new level."""
        return [PressureHooks]

    @hookimpl
    def register_services(self) -> dict[str, object]:
        """Return the service `pressure`."""
        return {"pressure": Pressure(self._monitor)} if self._monitor else {}

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return what measures memory and this plugin."""
        return [PressureCollector(self._monitor)] if self._monitor else []

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Return the command; what it needs is imported now, because it is about to run."""
        from plugin_pressure.command import pressure

        return [pressure]


def _options(settings: Any) -> Options:
    """Return settings, which are an instance of the model where the configuration says something."""
    return settings if isinstance(settings, Options) else Options(**settings.model_dump())
