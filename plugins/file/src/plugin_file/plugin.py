"""The hooks of the file plugin."""

from __future__ import annotations

from functools import cached_property

from framework import MetricsCollector, Plugin, ResourceProvider, hookimpl
from plugin_file.collector import FileCollector
from plugin_file.provider import FileProvider


class FilePlugin(Plugin):
    """Registers the file provider and what it has reserved as measurements."""

    @cached_property
    def provider(self) -> FileProvider:
        """The one provider, which both hooks are about."""
        if not self.settings:
            return FileProvider()
        return FileProvider(self.settings.roots, self.settings.max_bytes, self.settings.temp_directory)

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Return the file provider."""
        return [self.provider]

    @hookimpl
    def register_metrics_collectors(self) -> list[MetricsCollector]:
        """Return what counts the bytes that the provider has reserved."""
        return [FileCollector(self.provider)]
