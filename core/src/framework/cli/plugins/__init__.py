"""`framework plugins`: one module for each verb, which defines `command`; found by name and imported when used."""

from __future__ import annotations

from framework.cli.context import Context
from framework.cli.groups import VerbGroup
from framework.errors import PluginNotFoundError, did_you_mean
from framework.frozen import as_dict
from framework.records import PluginRecord, PluginState

BROKEN = {PluginState.FAILED, PluginState.BLOCKED, PluginState.QUARANTINED}
PLUGIN_FAULT = 6
"""Exit code where a plugin is broken."""

command = VerbGroup(__name__, __path__, name="plugins", help="List, show and manage what is installed.")


def known(context: Context, name: str) -> PluginRecord:
    """Return the row of one plugin.

    Raises:
        PluginNotFoundError: No plugin of that name is known.
    """
    records = context.inventory.records
    if name not in records:
        names = ", ".join(sorted(records)) or "none"
        raise PluginNotFoundError(
            f"No plugin is called {name!r}; known are {names}.", did_you_mean(name, records), plugin=name
        )
    return records[name]


def shown(record: PluginRecord) -> dict[str, object]:
    """Return a row as it is printed."""
    return {**as_dict(record), "state": record.state.value}


def switch(context: Context, name: str, *, enabled: bool) -> None:
    """Enable or disable a plugin in the configuration file, and say so.

    Raises:
        PluginNotFoundError: No plugin of that name is installed.
        SettingsError: The file cannot be changed safely.
    """
    from framework import rewriting, settings

    known(context, name)
    path = context.config or settings.find() or settings.FILE_NAMES[0]
    listed = context.settings.enabled(context.found.first_party())
    rewriting.switch(path, name, enabled=enabled, listed=listed)
    context.emit({"plugin": name, "enabled": enabled, "configuration": path})
