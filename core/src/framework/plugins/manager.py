"""`PluginManager`: loads, starts in dependency order, isolates, and stops in reverse."""

from __future__ import annotations

import importlib.util
import os
import time
import traceback
from dataclasses import replace
from typing import Any

import anyio
import pluggy

from framework import hookspecs, inventory, resolver
from framework.discovery import MODULE_PREFIX, Discovery, modules_in
from framework.errors import (
    FrameworkError,
    PluginDependencyError,
    PluginError,
    PluginLoadError,
    PluginNotFoundError,
    did_you_mean,
)
from framework.ledger import Ledger
from framework.manifest import Manifest
from framework.plugins import loading
from framework.plugins.base import Plugin
from framework.plugins.contributions import Contributions
from framework.records import PluginMetadata, PluginRecord, PluginState, PluginType
from framework.resolver import Candidate
from framework.settings import Settings, validated
from framework.telemetry import MetricsManager, PluginMonitor, get_logger


class PluginManager:
    """Knows every plugin by name, with its state and, for anything broken, the reason.

    Alone it registers and loads plugins; with a host it also starts what is installed and enabled (`start_all`). One
    plugin's failure never reaches another: it becomes a state, a log event and a row in `records`.

    Args:
        contributions: Where started plugins register what they provide.
        metrics: Where loads and discoveries are counted; the manager of the process when none is given.
    """

    def __init__(self, contributions: Contributions | None = None, metrics: MetricsManager | None = None) -> None:
        self.contributions = contributions or Contributions(Ledger())
        self._plugins: dict[str, Plugin] = {}
        self._metadata: dict[str, PluginMetadata] = {}
        self._manifests: dict[str, Manifest] = {}
        self._records: dict[str, PluginRecord] = {}
        self._started: list[str] = []
        self._hooks = pluggy.PluginManager(hookspecs.PROJECT)
        self._hooks.add_hookspecs(hookspecs)
        self._metrics = metrics or MetricsManager.get_instance()
        self._monitor = PluginMonitor(self._metrics)
        self._logger = get_logger()

    def register_plugin(self, plugin: Plugin) -> None:
        """Register a plugin object under the name that its metadata says.

        Raises:
            PluginError: A plugin of that name is registered, or the object is no plugin or has no metadata.
        """
        if not isinstance(plugin, Plugin):
            raise PluginError(f"{plugin!r} is a {type(plugin).__name__}; expected an instance of framework.Plugin.")
        metadata = plugin.metadata
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

    async def load_plugin(self, path: str) -> Plugin:
        """Import a module, find the plugin class it defines, register an instance and initialize it.

        Args:
            path: Dotted path of the module.

        Raises:
            PluginNotFoundError: The module defines no plugin class.
            PluginDependencyError: Something it requires is not registered.
            PluginLoadError: Importing, constructing, registering or initializing it failed.
        """
        start = time.perf_counter()
        try:
            plugin = loading.construct(loading.plugin_class(loading.load_module(path)))
            await self._admit(plugin)
        except BaseException as error:
            self._metrics.counter("plugin_loads", 1, path=path, success="false")
            self._logger.error("plugin_load_failed", path=path, error=loading.described(error))
            raise
        self._metrics.counter("plugin_loads", 1, path=path, success="true")
        self._metrics.histogram("plugin_load_duration", time.perf_counter() - start, path=path)
        return plugin

    async def discover_plugins(self, package: str | os.PathLike[str]) -> list[str]:
        """Return the dotted paths of the modules named `plugin_*` in a package, without importing them.

        Args:
            package: Name of a package, or path of a folder; for a folder the paths have no package in front.

        Raises:
            PluginError: There is no such package or folder.
        """
        label = os.fspath(package)
        try:
            folder, prefix = _folder_of(label)
            paths = [f"{prefix}{name}" for name, _ in modules_in(folder)]
        except (Exception, SystemExit) as error:  # finding a package inside another one imports the outer one
            self._metrics.counter("plugin_discoveries", 1, package=label, success="false")
            self._logger.error("plugin_discovery_failed", package=label, error=str(error))
            raise PluginError(
                f"Failed to discover plugins in {label!r}: {loading.described(error)}.",
                f"Name a package, or a folder with modules called {MODULE_PREFIX}*.",
            ) from error
        self._metrics.counter("plugin_discoveries", len(paths), package=label, success="true")
        return paths

    async def start_all(self, found: Discovery, settings: Settings) -> None:
        """Start every registered plugin and every installed one that is enabled, in dependency order."""
        taken = inventory.take(found, settings, self._records.values())
        self._records, self._manifests, plan = taken.records, taken.manifests, taken.plan
        for name, reason in plan.blocked.items():
            self._logger.warning("plugin_blocked", plugin=name, reason=reason)
        for name in plan.order:
            if self._records[name].state is PluginState.ACTIVE:
                continue  # `load_plugin` started it
            broken = [need for need in plan.needs[name] if self._records[need].state is not PluginState.ACTIVE]
            if broken:
                need = self._records[broken[0]]
                reason = f"Plugin {name!r} requires {need.name!r}, which is {need.state.value}: {need.reason}"
                self._set(name, PluginState.BLOCKED, phase="requirements", reason=reason)
                self._logger.warning("plugin_blocked", plugin=name, reason=reason)
            else:
                await self._start(name, settings)

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

    async def cleanup(self) -> None:
        """Stop everything that was started, newest first.

        Raises:
            ExceptionGroup: Some plugins failed to stop; each is logged, and all were tried.
        """
        failures: list[Exception] = []
        while self._started:  # one by one, so that a cleanup that was interrupted can be taken up again
            failures += await self._stop(self._started.pop())
        if failures:
            msg = "stopping plugins"
            raise ExceptionGroup(msg, failures)

    def load_class(self, name: str) -> Plugin:
        """Return the object of an installed plugin, importing it if need be, without starting it.

        Raises:
            PluginNotFoundError: No plugin of that name is installed.
            PluginError: It cannot be loaded.
        """
        if name not in self._plugins:
            if name not in self._manifests:
                raise PluginNotFoundError(self.record(name).reason or f"Plugin {name!r} is not installed.", plugin=name)
            self.register_plugin(loading.load(self._manifests[name]))
        return self._plugins[name]

    async def _admit(self, plugin: Plugin) -> None:
        """Register and initialize a plugin object that `load_plugin` made."""
        metadata = plugin.metadata
        others = [Candidate(one.name, one.version, self._records[one.name].provides) for one in self._metadata.values()]
        others = [one for one in others if one.name != metadata.name]
        blocked = resolver.resolve(
            [Candidate(metadata.name, metadata.version, requires=metadata.dependencies), *others]
        ).blocked
        if metadata.name in blocked:
            raise PluginDependencyError(blocked[metadata.name], "Load what it requires first.", plugin=metadata.name)
        former = self._records.get(metadata.name)
        self.register_plugin(plugin)
        try:
            await plugin.initialize()
            await self._register(metadata.name)
        except BaseException as error:
            self._forget(metadata.name)
            del self._records[metadata.name]
            if former is not None:
                self._records[metadata.name] = former
            if not isinstance(error, (Exception, SystemExit)):
                raise
            raise PluginLoadError(
                f"Initializing plugin {metadata.name!r} failed: {loading.described(error)}.", plugin=metadata.name
            ) from error
        self._started.append(metadata.name)
        self._set(metadata.name, PluginState.ACTIVE)

    async def _start(self, name: str, settings: Settings) -> None:
        """Start one plugin; a failure in any phase is undone and recorded."""
        start = time.perf_counter()
        phase, failure = await self._attempt(name, settings)
        duration = time.perf_counter() - start
        self._metrics.counter("plugin_loads", 1, path=name, success=str(failure is None).lower())
        self._metrics.histogram("plugin_load_duration", duration, path=name)
        if failure is None:
            self._started.append(name)
            self._set(name, PluginState.ACTIVE)
            self._logger.info("plugin_started", plugin=name, duration_s=round(duration, 6))
        else:
            self._fail(name, phase, failure)

    async def _attempt(self, name: str, settings: Settings) -> tuple[str, BaseException | None]:
        """Take one plugin through its phases; return the last phase and what went wrong in it."""
        phase = "import"
        try:
            plugin = self.load_class(name)
            phase = "settings"
            plugin.settings = self._settings_of(name, settings)
            phase = "initialize"
            await plugin.initialize()
            phase = "register"
            await self._register(name)
        except BaseException as error:
            self._forget(name)
            if not isinstance(error, (Exception, SystemExit)):
                self._set(name, PluginState.STOPPED, phase=phase, reason="The start was cancelled.")
                raise
            return phase, error
        return phase, None

    async def _register(self, name: str) -> None:
        """Register what an initialized plugin contributes; clean the plugin up when that fails."""
        try:
            await self.contributions.add(name, self._plugins[name], self._hooks)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._clean(name)
            raise

    async def _stop(self, name: str) -> list[Exception]:
        """Take back what a plugin registered and clean it up; return what failed."""
        failures: list[Exception] = []
        try:
            await self.contributions.remove(name)
        except Exception as error:  # noqa: BLE001 - the plugin itself must be cleaned up all the same
            failures.append(error)
        failures += await self._clean(name)
        self._forget(name)
        self._set(name, PluginState.STOPPED)
        for failure in failures:
            self._logger.error("plugin_cleanup_failed", plugin=name, error=loading.described(failure))
        return failures

    async def _clean(self, name: str) -> list[Exception]:
        start = time.perf_counter()
        failures: list[Exception] = []
        try:
            await self._plugins[name].cleanup()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one plugin's failure must not stop the others
            failures.append(
                error if isinstance(error, Exception) else PluginError(f"cleanup() of {name!r} called exit.")
            )
        await self._monitor.record_operation("cleanup", name, not failures, time.perf_counter() - start)
        return failures

    def _settings_of(self, name: str, settings: Settings) -> Any:
        section = settings.section(name)
        model = loading.settings_model(self._manifests[name]) if name in self._manifests else None
        return section if model is None else validated(section, model, name)

    def _fail(self, name: str, phase: str, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))
        reason = loading.described(error)
        if not isinstance(error, FrameworkError):
            reason = f"Plugin {name!r} failed to {phase}: {reason}"
        self._set(name, PluginState.FAILED, phase=phase, reason=f"{reason.rstrip('.')}.", traceback=trace)
        self._logger.error("plugin_failed", plugin=name, phase=phase, error=reason)

    def _set(self, name: str, state: PluginState, *, phase: str = "", reason: str = "", traceback: str = "") -> None:
        record = replace(self._records[name], state=state, phase=phase, reason=reason, traceback=traceback)
        self._records[name] = record

    def _forget(self, name: str) -> None:
        """Undo a registration; a half-made one too."""
        plugin = self._plugins.pop(name, None)
        self._metadata.pop(name, None)
        if plugin is not None and self._hooks.is_registered(plugin):
            self._hooks.unregister(plugin)


def _folder_of(package: str) -> tuple[str, str]:
    """Return the folder of a package, and what goes in front of its modules' names."""
    if all(part.isidentifier() for part in package.split(".")):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return next(iter(spec.submodule_search_locations)), f"{package}."
    if os.path.isdir(package):
        return package, ""
    msg = f"there is neither a package nor a folder {package!r}"
    raise ImportError(msg)
