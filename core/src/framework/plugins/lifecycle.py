"""`Lifecycle`: starts plugins in dependency order or on first use, isolates each, and stops them in reverse."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable

import anyio

from framework import inventory
from framework.discovery import Discovery
from framework.errors import PluginError
from framework.finishing import finish
from framework.frozen import replace
from framework.manifest import Manifest
from framework.plugins.base import Plugin
from framework.plugins.contributions import Contributions
from framework.plugins.starting import WAITING, Starter
from framework.quarantine import quarantined
from framework.records import PluginState
from framework.settings import Settings
from framework.telemetry import MetricsManager


class Lifecycle(Starter):
    """Starts and stops what is registered or installed.

    What is enabled is changed by one caller after the other, when nobody is just starting a plugin that it concerns.

    Args:
        contributions: Where started plugins register what they provide.
        metrics: Where loads are counted; the manager of the process when none is given.
    """

    def __init__(self, contributions: Contributions | None = None, metrics: MetricsManager | None = None) -> None:
        super().__init__(contributions, metrics)
        self._changing = anyio.Lock()

    async def start_all(self, found: Discovery, settings: Settings) -> None:
        """Start every plugin that is to be active from the start, and what it needs, in dependency order.

        Plugins of one layer start concurrently. A plugin whose manifest says `activation = "use"` waits until
        something that it provides is asked for (`activate`).

        Raises:
            PluginError: A plugin whose section says `required: true` did not become active.
        """
        self._closed = False
        self._read(found, settings)
        self._take()
        await self._load_undeclared()
        wanted = self._with_needs(name for name in self._plan.order if not self._is_lazy(name))
        for layer in self._plan.layers:
            async with anyio.create_task_group() as tasks:
                for name in layer:
                    if name in wanted and not self._is_active(name):
                        tasks.start_soon(self._start_unless_broken, name)
        for name in settings.required():
            if not self._is_active(name):
                record = self.record(name)
                raise PluginError(f"Plugin {name!r} is required, but {record.state.value}.", record.reason, plugin=name)

    async def activate(self, name: str) -> Plugin:
        """Return a plugin, starting it and what it needs if it is not active yet.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            PluginError: It is disabled, blocked or broken; the message says why.
        """
        for each in self._with_needs([name]):
            await self._start_unless_broken(each)
        record = self.record(name)
        if record.state is not PluginState.ACTIVE:
            self._refuse_if_closed(name)
            remedy = record.reason or f"Write `{name}: {{}}` under `plugins:` to enable it."
            raise PluginError(f"Plugin {name!r} is {record.state.value}.", remedy, plugin=name)
        return self._plugins[name]

    async def activate_all(self) -> None:
        """Start every enabled plugin that still waits for its first use; failures become states."""
        for name in self._plan.order:
            await self._start_unless_broken(name)

    def waiting_provider(self, family: str, item: str) -> str | None:
        """Return the enabled plugin that provides a kind, or another family's item, and waits for its first use."""
        for name in self._plan.order:
            promised = self._manifests[name].provides if name in self._manifests else {}
            if self._records[name].state in WAITING and item in promised.get(family, ()):
                return name
        return None

    def offered_kinds(self) -> dict[str, str]:
        """Return the plugin that offers each kind in its manifest, enabled or not."""
        offers = {kind: one.name for one in self._manifests.values() for kind in one.provides.get("kinds", ())}
        return dict(sorted(offers.items()))

    async def enable(self, name: str, found: Discovery | None = None) -> None:
        """Enable and start a plugin of a running host, and those that were blocked only for want of it.

        Args:
            name: The plugin.
            found: What is installed now; what was at the start when none is given.

        Raises:
            PluginNotFoundError: No plugin of that name is installed.
            PluginError: It cannot be started, or the host is closed; the message says why.
        """
        async with self._changing:
            self._refuse_if_closed(name)
            found = self._found if found is None else found
            record = self._records.get(name) if name in found.manifests else self.record(name)
            if record is not None and record.state is PluginState.STOPPED and name not in found.manifests:
                raise PluginError(f"Plugin {name!r} is stopped.", record.reason, plugin=name)
            if record is None:
                importlib.invalidate_caches()  # it was installed since
            elif record.state is PluginState.FAILED:
                del self._records[name]  # it gets another chance
            self._read(found, self._settings.with_enabled(name, enabled=True))
            self._take()
            await self._start_enabled(name)

    async def disable(self, name: str) -> list[str]:
        """Stop a plugin of a running host, and before it all that need it; return what was stopped, in order.

        Who cancels this is told so when all of it is stopped.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            ExceptionGroup: Something could not be given back; everything was tried, and all of it is stopped.
        """
        async with self._changing:
            settings = self._settings.with_enabled(name, enabled=False)
            stopped, failures = await self._halt(name, lambda: self._read(self._found, settings))
        if failures:
            msg = f"disabling plugin {name!r}"
            raise ExceptionGroup(msg, failures)
        return stopped

    async def reload(self, name: str, found: Discovery) -> None:
        """Stop a plugin, forget its modules, and start it anew from what is installed now, with what needed it.

        Args:
            name: The plugin.
            found: What is installed now.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            PluginError: It cannot be started any more, or is an object of the application, or the host is closed.
            ExceptionGroup: It runs anew, but something of the former one could not be given back.
        """
        async with self._changing:
            self._refuse_if_closed(name)
            before = self._manifests.get(name)
            if before is None and name in self._plugins:
                way_out = "Disable it, register another object, and enable that."
                raise PluginError(f"Plugin {name!r} is an object that cannot be read anew.", way_out, plugin=name)

            def change() -> None:
                if before is not None:
                    _forget_modules(before)
                self._read(found, self._settings.with_enabled(name, enabled=True))

            stopped, failures = await self._halt(name, change)
            try:
                await self._start_enabled(name)
            finally:
                for one in reversed(stopped):
                    await self._start_unless_broken(one)
        if failures:
            msg = f"stopping plugin {name!r} before it was started anew"
            raise ExceptionGroup(msg, failures)

    async def cleanup(self) -> None:
        """Stop everything that was started, newest first; afterwards nothing starts any more.

        Raises:
            ExceptionGroup: Some plugins failed to stop; each is logged, and all were tried.
        """
        self._closed = True
        failures: list[Exception] = []
        async with contextlib.AsyncExitStack() as stack:
            with anyio.move_on_after(self._deadline("start")):  # who hangs, or asks for this itself, is not waited for
                await stack.enter_async_context(self._changing)
                await stack.enter_async_context(self._held(list(self._locks)))
            while self._started:  # one by one, so that a cleanup that was interrupted can be taken up again
                failures += await finish(self._stop(self._started.pop()))
        if failures:
            msg = "stopping plugins"
            raise ExceptionGroup(msg, failures)

    def timings(self) -> dict[str, dict[str, float]]:
        """Return how long each phase of each start took, in seconds, by plugin."""
        return {name: dict(phases) for name, phases in self._timings.items()}

    async def _start_enabled(self, name: str) -> None:
        """Start a plugin that was just enabled, and then all that are to be active from the start and are not."""
        await self._load_undeclared()
        await self.activate(name)
        for other in self._plan.order:
            if not self._is_lazy(other):
                await self._start_unless_broken(other)

    async def _halt(self, name: str, change: Callable[[], None]) -> tuple[list[str], list[Exception]]:
        """Stop a plugin and all that need it, then make a change and work out anew what can run.

        Returns what was stopped, in that order, and what failed. A cancellation is held back until it is done.
        """

        async def halt() -> tuple[list[str], list[Exception]]:
            stopping = [one for one in reversed(self._started) if name in self._with_needs([one])]
            failures: list[Exception] = []
            for one in stopping:
                self._started.remove(one)
                failures += await self._stop(one)
            rows = {one: self._records.pop(one) for one in {*stopping, name} - self._plugins.keys()}
            change()
            self._take()
            for one in rows.keys() - self._records.keys():  # objects of the application: nothing to go back to
                self._records[one] = rows[one]
                given = "It was given by the application, which may register it again."
                self._set(one, PluginState.STOPPED, reason=given)
            return stopping, failures

        self.record(name)
        async with self._held([one for one in self._plan.order if name in self._with_needs([one])]):
            return await finish(halt())

    @contextlib.asynccontextmanager
    async def _held(self, names: Iterable[str]) -> AsyncIterator[None]:
        """Keep plugins from being started or stopped by others, waiting for those that just are."""
        async with contextlib.AsyncExitStack() as stack:
            for name in names:
                await stack.enter_async_context(self._lock(name))
            yield

    def _refuse_if_closed(self, name: str) -> None:
        if self._closed:
            raise PluginError(f"Plugin {name!r} cannot be started: the host is closed.", "Open another.", plugin=name)

    def _read(self, found: Discovery, settings: Settings) -> None:
        """Remember what is installed and enabled, and who is in quarantine now."""
        self._found, self._settings = found, settings
        self._quarantined = quarantined({one.name: one.version for one in found.manifests.values()})

    def _take(self) -> None:
        """Work out anew what is enabled and what is blocked; what is active or broken keeps its row."""
        rows = [self._records[name] for name in self._plugins]
        rows = [one if one.state is PluginState.ACTIVE else replace(one, state=PluginState.LOADED) for one in rows]
        taken = inventory.take(self._found, self._settings, rows, self._quarantined)
        failed = {name: one for name, one in self._records.items() if one.state is PluginState.FAILED}
        former = self._records
        self._records, self._manifests, self._plan = taken.records | failed, taken.manifests, taken.plan
        for name, one in taken.records.items():
            said = (former[name].reason, former[name].warnings) if name in former else ("", ())
            if name in self._plan.blocked and one.reason != said[0]:
                self._block(name, one.reason)
            for warning in [each for each in one.warnings if each not in said[1]]:
                self._logger.warning("plugin_warned", plugin=name, warning=warning)

    def _with_needs(self, names: Iterable[str]) -> list[str]:
        """Return plugins and all that they need, in the order to start them."""
        wanted, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                todo += self._plan.needs.get(name, ())
        return [name for name in self._plan.order if name in wanted] + sorted(wanted - set(self._plan.order))

    def _is_lazy(self, name: str) -> bool:
        manifest = self._manifests.get(name)
        if manifest is None or name in self._plugins or self._settings.is_required(name):
            return False
        return self._settings.activation(name, manifest.activation) == "use"

    async def _load_undeclared(self) -> None:
        """Import the enabled plugins that have no manifest: only their modules say what they require."""
        undeclared = [one for one in self._plan.order if (m := self._manifests.get(one)) is not None and not m.path]
        for name in undeclared:
            if name in self._plugins:
                continue
            async with self._lock(name):
                await self._load(name)
        if undeclared:
            self._take()


def _forget_modules(manifest: Manifest) -> None:
    """Drop a plugin's package from the modules already imported, so that it is read anew.

    Not more than its package: the outer ones may be the application's, or hold other plugins.
    """
    module = manifest.entry_point.partition(":")[0].strip()
    package = module.rpartition(".")[0] or module
    for one in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        del sys.modules[one]
    importlib.invalidate_caches()
