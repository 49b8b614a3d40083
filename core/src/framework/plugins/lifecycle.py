"""`Lifecycle`: starts plugins in dependency order or on first use, isolates each, and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio

from framework import inventory
from framework.discovery import Discovery
from framework.errors import PluginError, PluginNotFoundError
from framework.finishing import finish
from framework.frozen import replace
from framework.ledger import Ledger
from framework.plugins import activation, loading, observation
from framework.plugins.activation import Start
from framework.plugins.base import Plugin
from framework.plugins.contributions import Contributions
from framework.plugins.registry import Registry
from framework.quarantine import Quarantine, quarantined
from framework.records import PluginState
from framework.resolver import Plan
from framework.settings import Settings
from framework.telemetry import MetricsManager, PluginMonitor

IMPORT_TURN_S = 1.0
"""Longest time that one plugin's import waits for another's; the interpreter runs one of them at a time anyway."""

WAITING = {PluginState.DISCOVERED, PluginState.LOADED}


class Lifecycle(Registry):
    """Starts and stops what is registered or installed. A plugin's failure becomes a state, and never reaches another.

    Args:
        contributions: Where started plugins register what they provide.
        metrics: Where loads are counted; the manager of the process when none is given.
    """

    def __init__(self, contributions: Contributions | None = None, metrics: MetricsManager | None = None) -> None:
        super().__init__()
        self.contributions = contributions or Contributions(Ledger())
        self._started: list[str] = []
        self._timings: dict[str, dict[str, float]] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._settings = Settings()
        self._found = Discovery()
        self._plan = Plan((), {}, {})
        self._quarantine = Quarantine()
        self._quarantined: dict[str, str] = {}
        self._importing = anyio.Lock()
        self._starting = self._begun = 0
        self._metrics = metrics or MetricsManager.get_instance()
        self._monitor = PluginMonitor(self._metrics)

    async def start_all(self, found: Discovery, settings: Settings) -> None:
        """Start every plugin that is to be active from the start, and what it needs, in dependency order.

        Plugins of one layer start concurrently. A plugin whose manifest says `activation = "use"` waits until
        something that it provides is asked for (`activate`).

        Raises:
            PluginError: A plugin whose section says `required: true` did not become active.
        """
        self._found, self._settings = found, settings
        self._quarantined = quarantined({one.name: one.version for one in found.manifests.values()})
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
            async with self._locks.setdefault(each, anyio.Lock()):
                if not self._is_active(each) and self.record(each).state in WAITING:
                    await self._start_unless_broken(each)
        record = self.record(name)
        if record.state is not PluginState.ACTIVE:
            remedy = record.reason or f"Write `{name}: {{}}` under `plugins:` to enable it."
            raise PluginError(f"Plugin {name!r} is {record.state.value}.", remedy, plugin=name)
        return self._plugins[name]

    async def activate_all(self) -> None:
        """Start every enabled plugin that still waits for its first use; failures become states."""
        for name in self._plan.order:
            if self.record(name).state in WAITING:
                async with self._locks.setdefault(name, anyio.Lock()):
                    if self.record(name).state in WAITING:
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

    async def enable(self, name: str) -> None:
        """Enable and start a plugin of a running host, and those that were blocked only for want of it.

        Raises:
            PluginNotFoundError: No plugin of that name is installed.
            PluginError: It cannot be started; the message says why.
        """
        record = self.record(name)
        if record.state is PluginState.STOPPED and name not in self._found.manifests:
            raise PluginError(f"Plugin {name!r} is stopped.", record.reason, plugin=name)
        if record.state is PluginState.FAILED:
            del self._records[name]  # it gets another chance
        self._settings = self._settings.with_enabled(name, enabled=True)
        self._take()
        await self.activate(name)
        for other in self._plan.order:
            if not self._is_lazy(other) and not self._is_active(other):
                await self._start_unless_broken(other)

    async def disable(self, name: str) -> list[str]:
        """Stop a plugin of a running host, and before it all that need it; return what was stopped, in order.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            ExceptionGroup: Something could not be given back; everything was tried, and all of it is stopped.
        """
        self.record(name)
        stopping = [one for one in reversed(self._started) if name in self._with_needs([one])]
        failures: list[Exception] = []
        for one in stopping:
            self._started.remove(one)
            failures += await self._stop(one)
        rows = {one: self._records.pop(one) for one in {*stopping, name}}
        self._settings = self._settings.with_enabled(name, enabled=False)
        self._take()
        for one in rows.keys() - self._records.keys():  # objects of the application: nothing installed to go back to
            self._records[one] = rows[one]
            self._set(one, PluginState.STOPPED, reason="It was given by the application, which may register it again.")
        if failures:
            msg = f"disabling plugin {name!r}"
            raise ExceptionGroup(msg, failures)
        return stopping

    async def reload(self, name: str, found: Discovery) -> None:
        """Stop a plugin, forget its modules, and start it anew from what is installed now, with what needed it.

        Args:
            name: The plugin.
            found: What is installed now.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            PluginError: It cannot be started any more.
        """
        before = self._manifests.get(name)
        stopped = await self.disable(name)
        if before is not None:
            _forget_modules(before.entry_point)
        self._found = found
        try:
            await self.enable(name)
        finally:
            for one in reversed(stopped):
                await self._start_unless_broken(one)

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

    def timings(self) -> dict[str, dict[str, float]]:
        """Return how long each phase of each start took, in seconds, by plugin."""
        return {name: dict(phases) for name, phases in self._timings.items()}

    def _take(self) -> None:
        """Work out anew what is enabled and what is blocked; what is active or broken keeps its row."""
        kept = {PluginState.ACTIVE, PluginState.LOADED}
        rows = [record for record in self._records.values() if record.state in kept]
        taken = inventory.take(self._found, self._settings, rows, self._quarantined)
        failed = {name: one for name, one in self._records.items() if one.state is PluginState.FAILED}
        self._records, self._manifests, self._plan = taken.records | failed, taken.manifests, taken.plan
        for name, reason in self._plan.blocked.items():
            self._block(name, reason)

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
            version = self.record(name).version
            with self._quarantine.starting(name, version, overdue_after=self._deadline("start")) as mark:
                start = Start(name, reached=mark.enter, runs=mark.runs, waits=mark.waits)
                try:
                    async with self._observed(start):
                        await self._import(start)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever its module does, the others start
                    self._fail(name, start.phase, error)
        if undeclared:
            self._take()

    async def _start_unless_broken(self, name: str) -> None:
        """Start one plugin whose needs were started before it; a failure in any phase is undone and recorded."""
        if self.record(name).state not in WAITING:
            return
        for need in self._plan.needs[name]:
            other = self.record(need)
            if other.state is not PluginState.ACTIVE:
                self._block(name, f"Plugin {name!r} requires {need!r}, which is {other.state.value}: {other.reason}")
                return
        with self._quarantine.starting(name, self.record(name).version, overdue_after=self._deadline("start")) as mark:
            start = Start(name, reached=mark.enter, runs=mark.runs, waits=mark.waits)
            async with self._observed(start):
                await self._run(start, self._import, self._configure, self._initialize)
        if start.warnings:
            self._records[name] = replace(self._records[name], warnings=tuple(start.warnings))
        duration = sum(start.durations.values())
        self._metrics.counter("plugin_loads", 1, path=name, success=str(start.failure is None).lower())
        self._metrics.histogram("plugin_load_duration", duration, path=name)
        if start.failure is None:
            self._logger.info("plugin_started", plugin=name, duration_s=round(duration, 6))
        else:
            self._fail(name, start.phase, start.failure)

    async def _run(self, start: Start, *phases: Any) -> Start:
        """Run the phases of a start, then register; undo everything when one fails or is cancelled."""
        name = start.name
        waiting = self._records[name].state if name in self._records else PluginState.LOADED
        try:
            for phase in phases:
                await phase(start)
            with start.enter("register"):
                await self._register(start)
        except BaseException as error:
            self._forget(name)
            if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)):
                self._set(name, waiting, phase=start.phase, reason="The start was cancelled.")
                raise
            start.failure = error
        finally:
            self._timings[name] = start.durations
        if start.failure is None:
            self._started.append(name)
            self._order_hooks()
            self._set(name, PluginState.ACTIVE)
        return start

    @contextlib.asynccontextmanager
    async def _observed(self, start: Start) -> AsyncIterator[None]:
        """Note what a start changes for the whole process."""
        self._starting += 1
        self._begun += 1
        alone, begun, before = self._starting == 1, self._begun, observation.look()
        try:
            yield
        finally:
            self._starting -= 1
            doubt = "" if alone and self._begun == begun else " Or a plugin that started at the same time did."
            start.warnings += [f"{one}{doubt}" for one in observation.changes(before, observation.look())]

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Let one plugin import at a time, so that it is known who ended the interpreter; but nobody waits for long."""
        mine = False
        with anyio.move_on_after(IMPORT_TURN_S):
            await self._importing.acquire()
            mine = True
        try:
            yield
        finally:
            if mine:
                self._importing.release()

    async def _import(self, start: Start) -> None:
        if start.name in self._plugins:
            start.durations["import"] = 0.0
            return
        manifest = self._manifest(start.name)

        def load() -> Plugin:
            with start.step():
                return loading.load(manifest)

        async with self._turn():
            with start.enter("import"):  # not before: waiting for the import of another is not this one's time
                plugin = await activation.in_thread(start.name, load, self._deadline("start"))
                self.register_plugin(plugin)

    async def _configure(self, start: Start) -> None:
        with start.enter("settings"):
            section = self._settings.section(start.name)
            manifest = self._manifests.get(start.name)
            with start.step():
                self._plugins[start.name].settings = loading.settings_of(manifest, section, start.name)

    async def _initialize(self, start: Start) -> None:
        with start.enter("initialize"):
            await start.watch(self._plugins[start.name].initialize, self._deadline("start"))

    async def _register(self, start: Start) -> None:
        """Register what an initialized plugin contributes; clean the plugin up when that fails."""
        plugin = self._plugins[start.name]
        try:
            await start.watch(lambda: self.contributions.add(start.name, plugin, self._hooks), self._deadline("start"))
            start.warnings += self.hooks.warnings(start.name)
        except BaseException:
            await finish(self._clean(start.name))
            raise

    async def _stop(self, name: str) -> list[Exception]:
        """Take back what a plugin registered and clean it up; return what failed."""
        self._order_hooks()
        failures = await activation.stop(name, lambda: self.contributions.remove(name), self._deadline("stop"))
        failures += await self._clean(name)
        self._forget(name)
        self._set(name, PluginState.STOPPED)
        for failure in failures:
            self._logger.error("plugin_cleanup_failed", plugin=name, error=loading.described(failure))
        return failures

    async def _clean(self, name: str) -> list[Exception]:
        start = time.perf_counter()
        failures = await activation.stop(name, self._plugins[name].cleanup, self._deadline("stop"))
        await self._monitor.record_operation("cleanup", name, not failures, time.perf_counter() - start)
        return failures

    def _order_hooks(self) -> None:
        """Have hooks call exactly the plugins that are active, in the order of the plan."""
        active = dict.fromkeys(self._started)
        planned = dict.fromkeys(name for name in self._plan.order if name in active)
        self.hooks.set_order(planned | active)

    def _manifest(self, name: str) -> Any:
        if name not in self._manifests:
            raise PluginNotFoundError(self.record(name).reason or f"Plugin {name!r} is not installed.", plugin=name)
        return self._manifests[name]

    def _deadline(self, which: str) -> float:
        seconds: float = self._settings.get(f"timeouts.{which}")
        return seconds


def _forget_modules(entry_point: str) -> None:
    """Drop a plugin's package from the modules already imported, so that it is read anew."""
    top = entry_point.partition(":")[0].partition(".")[0]
    for module in [one for one in sys.modules if one == top or one.startswith(f"{top}.")]:
        del sys.modules[module]
    importlib.invalidate_caches()
