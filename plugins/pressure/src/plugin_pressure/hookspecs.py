"""The extension point of this plugin."""

from __future__ import annotations

from framework import hookspec


class PressureHooks:
    """What plugins may implement, with `hookimpl(optionalhook=True)`, so that they work without this one."""

    @hookspec
    def pressure_changed(self, level: str, former: str, reason: str) -> None:
        """Take less, or again more; called in a thread, one change after another.

        Args:
            level: The level that holds now: normal, warning, aggressive or critical.
            former: The one that held before.
            reason: Why, for logs.
        """
