"""Hooks of the plugin `survey`."""

from __future__ import annotations

import click

from framework import Plugin, hookimpl


class SurveyPlugin(Plugin):
    """Registers the command `survey`."""

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Return the command; what it needs is imported now, because it is about to run."""
        from plugin_survey.command import survey

        return [survey]
