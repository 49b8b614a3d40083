"""`Context`: what every command finds in `click.Context.obj`."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import click

from framework.cli import output

if TYPE_CHECKING:
    from framework.discovery import Discovery
    from framework.host import Framework
    from framework.inventory import Inventory
    from framework.settings import Settings


class Context:
    """The command line's configuration, read when first needed, and its output."""

    def __init__(self, config: str | None = None, flags: tuple[str, ...] = ()) -> None:
        self.config = config
        self.flags = flags
        self.format = output.TABLE

    @functools.cached_property
    def settings(self) -> Settings:
        """The merged configuration.

        Raises:
            SettingsError: It cannot be used.
        """
        from framework.settings import Settings  # here and below: `--version` needs none of it

        return Settings.load(self.config, flags=self.flags)

    @functools.cached_property
    def found(self) -> Discovery:
        """Every plugin that is installed."""
        from framework import discovery

        return discovery.discover(folders=self.settings.plugin_folders)

    @functools.cached_property
    def inventory(self) -> Inventory:
        """One row for each plugin, without importing any."""
        from framework import inventory, quarantine

        versions = {one.name: one.version for one in self.found.manifests.values()}
        return inventory.take(self.found, self.settings, quarantined=quarantine.quarantined(versions))

    @property
    def interactive(self) -> bool:
        """True when messages go to a terminal."""
        return sys.stderr.isatty()

    def log(self) -> None:
        """Send events of the configured level to standard error."""
        from framework.telemetry import configure_logging

        configure_logging(self.settings.get("logging.level"), self.settings.get("logging.style"))

    def open(self, *flags: str) -> Framework:
        """Return a host for this configuration, in which these flags have the last word; its events are logged."""
        from framework.host import Framework
        from framework.settings import Settings

        self.log()
        return Framework(Settings.load(self.config, flags=(*self.flags, *flags)) if flags else self.settings)

    def emit(self, data: object, *, columns: tuple[str, ...] = ()) -> None:
        """Print data in the format that the user chose; iterators in it are gone through once, and never held."""
        if output.is_lazy(data):
            from framework.cli import stream

            for piece in stream.pieces(data, self.format, columns):
                click.echo(piece, nl=False)
            return
        text = output.render(data, self.format, columns)
        if text or self.format != output.NDJSON:  # no rows are no lines
            click.echo(text)

    def message(self, text: str) -> None:
        """Print a line for people to standard error, with nothing in it that a terminal would obey."""
        click.echo(output.visible(text, keep=output.LINE_BREAK), err=True)
