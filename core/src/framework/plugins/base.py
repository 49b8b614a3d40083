"""`Plugin`, the class that plugin authors extend, the decorator `plugin`, and `PluginContextManager`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from framework.errors import PluginError, did_you_mean
from framework.protocols import Host
from framework.records import Health, PluginMetadata, PluginType

T = TypeVar("T", bound="Plugin")


class Plugin:
    """Base of every plugin.

    A plugin says what it is either in the `plugin.toml` of its package or with the decorator `plugin`, never both. It
    contributes by methods marked with `hookimpl`, named after the hooks. Nothing has to be overridden.
    """

    _metadata: ClassVar[PluginMetadata | None] = None

    settings: Any = None
    """What the configuration says under `plugins: <name>:`, validated by the manifest's settings model.

    Set before `initialize`. An instance of the model where the manifest names one, else a plain dictionary. What a
    class says here stands for an empty section, and spares a plugin that starts with the host the import of its model.
    """

    hooks: Any = None
    """The `Hooks` of the host: `self.hooks.call("card_dealt", card=7)` calls a hook that a plugin specified.

    Set before `initialize`. None where the plugin runs without a host.
    """

    host: Host | None = None
    """The host that runs the plugin, for those that act by themselves: its settings, participants, admission.

    Set before `initialize`. None where the plugin runs without a host.
    """

    @property
    def metadata(self) -> PluginMetadata:
        """What the plugin says of itself.

        Raises:
            PluginError: It has neither a decorator nor a manifest.
        """
        if self._metadata is None:
            raise PluginError(
                f"{type(self).__qualname__} has no metadata.",
                "Decorate it with @plugin(name=…, …), or put a plugin.toml into its package.",
            )
        return self._metadata

    async def initialize(self) -> None:
        """Make ready; called once, before anything is registered. What fails here disables this plugin only."""

    async def health_check(self) -> Health:
        """Say whether the plugin works; healthy unless overridden. A plugin that raises here counts as unhealthy."""
        return Health(healthy=True)

    async def execute(self, parameters: dict[str, Any]) -> Mapping[str, Any]:
        """Do what the plugin is for, with parameters and an answer of its own making.

        Raises:
            PluginError: It executes nothing, which is so unless overridden.
        """
        raise PluginError(f"Plugin {self.name!r} executes nothing.", "Override execute().", plugin=self.name)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.metadata.name

    @property
    def version(self) -> str:
        """The plugin's version."""
        return self.metadata.version

    async def cleanup(self) -> None:
        """Give everything back; called once after `initialize` succeeded, when all leases are released."""


def plugin(
    name: str,
    version: str,
    description: str,
    author: str,
    plugin_type: PluginType | str,
    dependencies: list[str] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare what a plugin class is, in code, for plugins without a `plugin.toml`.

    Args:
        name: The plugin's name, also its section in the configuration.
        version: The plugin's own version.
        description: One sentence.
        author: Who to ask.
        plugin_type: What the plugin is for; the word that a manifest would say, as in `"provider"`, will do.
        dependencies: Names of plugins, or of what plugins provide, that must be active first.

    Raises:
        PluginError: There is no such type.
    """
    try:
        purpose = PluginType(plugin_type)
    except ValueError:
        words = [one.value for one in PluginType]
        raise PluginError(
            f"Plugin {name!r} has the plugin_type {plugin_type!r}; allowed: {', '.join(words)}.",
            did_you_mean(str(plugin_type), words),
            plugin=name,
        ) from None

    def decorate(cls: type[T]) -> type[T]:
        entry_point = f"{cls.__module__}.{cls.__qualname__}"
        cls._metadata = PluginMetadata(
            name, version, description, author, list(dependencies or ()), purpose, entry_point
        )
        return cls

    return decorate


class PluginContextManager:
    """Initializes one plugin on entry, returns it, and cleans it up on exit."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    async def __aenter__(self) -> Plugin:
        await self.plugin.initialize()
        return self.plugin

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.plugin.cleanup()
