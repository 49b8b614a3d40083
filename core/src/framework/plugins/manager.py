"""`PluginManager`: what applications hold: registers, loads, discovers, starts, stops, executes and asks for health."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio

from framework import resolver
from framework.discovery import MODULE_PREFIX, modules_in
from framework.errors import PluginDependencyError, PluginError, PluginLoadError, UnknownKindError, nearest
from framework.manifest import Manifest
from framework.plugins import activation, loading
from framework.plugins.activation import Start
from framework.plugins.base import Plugin
from framework.plugins.lifecycle import Lifecycle
from framework.records import Health, PluginState
from framework.resolver import Candidate

HEALTH_TIMEOUT_S = 5.0


class PluginManager(Lifecycle):
    """Knows every plugin by name, with its state and, for anything broken, the reason.

    Alone it registers and loads plugins; with a host it also starts what is installed and enabled.
    """

    async def load_plugin(self, path: str) -> Plugin:
        """Import a module, find the plugin class it defines, register an instance and initialize it.

        What it is is said by its decorator, or by the `plugin.toml` of its package.

        Args:
            path: Dotted path of the module.

        Raises:
            PluginNotFoundError: The module defines no plugin class.
            PluginDependencyError: Something it requires is not registered.
            PluginLoadError: Importing, constructing, registering or initializing it failed, or its settings do not fit.
        """
        start = time.perf_counter()
        try:
            plugin, manifest = loading.load_path(path)
            await self._admit(plugin, manifest)
        except BaseException as error:
            self._metrics.counter("plugin_loads", 1, path=path, success="false")
            self._metrics.histogram("plugin_load_duration", time.perf_counter() - start, path=path)
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

    def unknown_kind(self, kind: str) -> UnknownKindError:
        """Return the error for a kind that no active plugin provides: which plugin would, or which kind was meant."""
        offers = self.offered_kinds()
        if kind in offers:
            record = self.record(offers[kind])
            if record.state is not PluginState.ACTIVE:
                remedy = record.reason or f"Enable it: write `{record.name}: {{}}` under `plugins:`."
                return UnknownKindError(
                    f"No active plugin provides {kind!r}; plugin {record.name!r} would, but is {record.state.value}.",
                    remedy,
                    resource=kind,
                    plugin=record.name,
                )
        offers |= {one.kind: one.plugin for one in self.contributions.kinds()}
        near = nearest(kind, offers)
        return UnknownKindError(
            f"No installed plugin provides {kind!r}; provided are {', '.join(sorted(offers)) or 'none'}.",
            f"Did you mean {near!r}, which plugin {offers[near]!r} provides?" if near else "",
            resource=kind,
        )

    @contextlib.asynccontextmanager
    async def measured(self, operation: str, plugin: str) -> AsyncIterator[None]:
        """Count and time an operation of a plugin, failures included."""
        start = time.perf_counter()
        success = False
        try:
            yield
            success = True
        finally:
            await self._monitor.record_operation(operation, plugin, success, time.perf_counter() - start)

    async def health(self, timeout: float = HEALTH_TIMEOUT_S) -> dict[str, Health]:
        """Return the health of every active plugin; one that fails or takes too long to say so is unhealthy."""
        answers: dict[str, Health] = {}

        async def ask(name: str, plugin: Plugin) -> None:
            answers[name] = await self._ask(name, plugin, timeout)

        async with anyio.create_task_group() as tasks:
            for name in list(self._started):
                tasks.start_soon(ask, name, self._plugins[name])
        return dict(sorted(answers.items()))

    async def _ask(self, name: str, plugin: Plugin, timeout: float) -> Health:
        try:
            async with self.measured("health_check", name):
                with anyio.fail_after(timeout):
                    answer = await plugin.health_check()
        except TimeoutError:
            return Health(healthy=False, message=f"It did not answer within {timeout:g} s.")
        except BaseException as error:
            if activation.ends_more(error):
                raise
            return Health(healthy=False, message=f"{loading.described(error)}.")
        if not isinstance(answer, Health):
            return Health(healthy=False, message=f"It answered {answer!r}; expected a Health.")
        return answer

    async def _admit(self, plugin: Plugin, manifest: Manifest | None) -> None:
        """Register and initialize a plugin object that `load_plugin` made."""
        metadata = plugin.metadata
        others = [Candidate(one.name, one.version, self._records[one.name].provides) for one in self._metadata.values()]
        others = [one for one in others if one.name != metadata.name]
        me = Candidate(metadata.name, metadata.version, requires=metadata.dependencies)
        blocked = resolver.resolve([me, *others]).blocked
        if metadata.name in blocked:
            raise PluginDependencyError(blocked[metadata.name], "Load what it requires first.", plugin=metadata.name)
        former = self._records.get(metadata.name)
        self.register_plugin(plugin)
        provides = manifest.capabilities if manifest else ()
        self._records[metadata.name] = replace(self._records[metadata.name], provides=provides)

        async def configure(start: Start) -> None:
            with start.enter("settings"), start.step():
                section = self._settings.section(start.name)
                plugin.settings = loading.settings_of(manifest, section, start.name, type(plugin).settings)

        start = await self._run(Start(metadata.name, "settings"), configure, self._initialize)
        if start.failure is None:
            return
        del self._records[metadata.name]
        if former is not None:
            self._records[metadata.name] = former
        raise PluginLoadError(
            f"Initializing plugin {metadata.name!r} failed: {loading.described(start.failure)}.", plugin=metadata.name
        ) from start.failure


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
