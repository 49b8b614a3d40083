"""`Registry`: every plugin known, by name, with its state and, for anything broken, the reason."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Mapping

from framework.errors import FrameworkError, PluginError, PluginLoadError, PluginNotFoundError, did_you_mean
from framework.frozen import replace
from framework.hooks import Hooks
from framework.manifest import Manifest
from framework.manifest_schema import wrong_name
from framework.plugins import loading
from framework.plugins.activation import causes
from framework.plugins.base import Plugin
from framework.protocols import Host
from framework.records import PluginMetadata, PluginRecord, PluginState, PluginType
from framework.telemetry import get_logger


class Registry:
    """Registers plugin objects and their hooks, and keeps one row for each plugin known."""

    def __init__(self) -> None:
        self._plugins: dict[str, Plugin] = {}
        self._metadata: dict[str, PluginMetadata] = {}
        self._manifests: Mapping[str, Manifest] = {}
        self._records: dict[str, PluginRecord] = {}
        self.hooks = Hooks()
        self._hooks = self.hooks.registry
        self.host: Host | None = None
        self._logger = get_logger()

    def register_plugin(self, plugin: Plugin) -> None:
        """Register a plugin object under the name that its metadata says.

        Raises:
            PluginError: A plugin of that name is registered, or the object is no plugin, or has no metadata or no name.
        """
        if not isinstance(plugin, Plugin):
            raise PluginError(f"{plugin!r} is a {type(plugin).__name__}; expected an instance of framework.Plugin.")
        metadata = plugin.metadata
        if reason := wrong_name(metadata.name):
            raise PluginError(reason, "Give it another name.", plugin=metadata.name)
        if metadata.name in self._plugins:
            raise PluginError(
                f"Plugin already registered: {metadata.name!r}, by {self._metadata[metadata.name].entry_point}.",
                "Give one of the two another name.",
                plugin=metadata.name,
            )
        try:
            self._hooks.register(plugin, name=metadata.name)
        except Exception as error:
            if self._hooks.is_registered(plugin):
                self._hooks.unregister(plugin)  # pluggy leaves a half-made registration behind
            reason = loading.described(error)
            raise PluginLoadError(
                f"A hook of plugin {metadata.name!r} does not fit: {reason}.", plugin=metadata.name
            ) from error
        plugin.hooks = self.hooks
        plugin.host = self.host
        self._plugins[metadata.name] = plugin
        self._metadata[metadata.name] = metadata
        former = self._records.get(metadata.name)
        self._records[metadata.name] = PluginRecord(
            metadata.name,
            metadata.version,
            metadata.plugin_type.value,
            PluginState.LOADED,
            former.provides if former else (),
            tuple(metadata.dependencies),
            former.distribution if former else "",
            metadata.description,
            warnings=former.warnings if former else (),
        )

    def get_plugin(self, name: str) -> Plugin:
        """Return the registered plugin of that name.

        Raises:
            PluginNotFoundError: There is none.
        """
        try:
            return self._plugins[name]
        except KeyError:
            known = ", ".join(sorted(self._plugins)) or "none"
            raise PluginNotFoundError(
                f"Plugin not found: {name!r}; registered are {known}.", did_you_mean(name, self._plugins), plugin=name
            ) from None

    def get_plugins_by_type(self, plugin_type: PluginType) -> list[Plugin]:
        """Return the registered plugins of a type, in the order they were registered."""
        return [one for name, one in self._plugins.items() if self._metadata[name].plugin_type is plugin_type]

    def records(self) -> tuple[PluginRecord, ...]:
        """Return one row for each plugin known, sorted by name."""
        return tuple(record for _, record in sorted(self._records.items()))

    def record(self, name: str) -> PluginRecord:
        """Return the row of one plugin.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
        """
        try:
            return self._records[name]
        except KeyError:
            known = ", ".join(sorted(self._records)) or "none"
            raise PluginNotFoundError(
                f"No plugin is called {name!r}; known are {known}.", did_you_mean(name, self._records), plugin=name
            ) from None

    def _is_active(self, name: str) -> bool:
        return name in self._records and self._records[name].state is PluginState.ACTIVE

    def _set(self, name: str, state: PluginState, *, phase: str = "", reason: str = "", trace: str = "") -> None:
        record = replace(self._records[name], state=state, phase=phase, reason=reason, traceback=trace)
        self._records[name] = record

    def _block(self, name: str, reason: str) -> None:
        self._set(name, PluginState.BLOCKED, phase="requirements", reason=reason)
        self._logger.warning("plugin_blocked", plugin=name, reason=reason)

    def _fail(self, name: str, phase: str, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))
        chain = list(causes(error))
        for one in chain:
            one.__traceback__ = None  # it keeps what the plugin held
        if any(isinstance(one, MemoryError) for one in chain):
            gc.collect()  # the names of a half-imported module hold each other
        reason = loading.described(error)
        if not isinstance(error, FrameworkError):
            reason = f"Plugin {name!r} failed to {phase}: {reason}"
        self._set(name, PluginState.FAILED, phase=phase, reason=f"{reason.rstrip('.')}.", trace=trace)
        self._logger.error("plugin_failed", plugin=name, phase=phase, error=reason)

    def _forget(self, name: str) -> None:
        """Undo a registration; a half-made one too."""
        plugin = self._plugins.pop(name, None)
        self._metadata.pop(name, None)
        if plugin is not None and self._hooks.is_registered(plugin):
            self._hooks.unregister(plugin)
