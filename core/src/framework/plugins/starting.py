"""`Starter`: takes one plugin through its start and its stop, and keeps what is known of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio

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
from framework.quarantine import Quarantine
from framework.records import PluginState
from framework.resolver import Plan
from framework.settings import Settings
from framework.telemetry import MetricsManager, PluginMonitor

IMPORT_TURN_S = 1.0
"""Longest time that one plugin's import waits for another's; the interpreter runs one of them at a time anyway."""

WAITING = {PluginState.DISCOVERED, PluginState.LOADED}


class Starter(Registry):
    """Starts and stops single plugins. A failure becomes a state, and never reaches another plugin.

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
        self._closed = False
        self._settings = Settings()
        self._found = Discovery()
        self._plan = Plan((), {}, {})
        self._quarantine = Quarantine()
        self._quarantined: dict[str, str] = {}
        self._importing = anyio.Lock()
        self._starting = self._begun = 0
        self._metrics = metrics or MetricsManager.get_instance()
        self._monitor = PluginMonitor(self._metrics)

    async def _start_unless_broken(self, name: str) -> None:
        """Start one plugin whose needs were started before it; a failure in any phase is undone and recorded.

        Where somebody else is starting or stopping it, this waits for that, and then does what is left to do.
        """
        if self.record(name).state not in WAITING:
            return
        async with self._lock(name):
            if self.record(name).state in WAITING and not self._closed:
                await self._start(name)

    async def _start(self, name: str) -> None:
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
            record = self._records[name]
            self._records[name] = replace(record, warnings=tuple(dict.fromkeys((*record.warnings, *start.warnings))))
        self._count(start)
        if start.failure is None:
            self._logger.info("plugin_started", plugin=name, duration_s=round(sum(start.durations.values()), 6))
        else:
            self._fail(name, start.phase, start.failure)

    def _count(self, start: Start) -> None:
        """Count a load, and time it, whether it failed or not."""
        self._metrics.counter("plugin_loads", 1, path=start.name, success=str(start.failure is None).lower())
        self._metrics.histogram("plugin_load_duration", sum(start.durations.values()), path=start.name)

    def _lock(self, name: str) -> anyio.Lock:
        """Return what everybody holds who starts or stops a plugin."""
        return self._locks.setdefault(name, anyio.Lock())

    async def _load(self, name: str) -> None:
        """Import one plugin, without starting it."""
        version = self.record(name).version
        with self._quarantine.starting(name, version, overdue_after=self._deadline("start")) as mark:
            start = Start(name, reached=mark.enter, runs=mark.runs, waits=mark.waits)
            try:
                async with self._observed(start):
                    await self._import(start)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever its module does, the others start
                start.failure = error
                self._count(start)
                self._fail(name, start.phase, error)

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
            if activation.ends_more(error):
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
                plugin = self._plugins[start.name]
                plugin.settings = loading.settings_of(manifest, section, start.name, type(plugin).settings)

    async def _initialize(self, start: Start) -> None:
        with start.enter("initialize"):
            await start.watch(self._plugins[start.name].initialize, self._deadline("start"))

    async def _register(self, start: Start) -> None:
        """Register what an initialized plugin contributes; clean the plugin up when that fails."""
        plugin = self._plugins[start.name]
        try:
            await start.watch(lambda: self.contributions.add(start.name, plugin, self._hooks), self._deadline("start"))
            start.warnings += self.hooks.warnings(start.name)
            if self._closed:  # who closed it has waited as long as a start may take
                raise PluginError("the host was closed meanwhile", plugin=start.name)
        except BaseException:
            await finish(self._take_back(start.name))
            raise

    async def _stop(self, name: str) -> list[Exception]:
        """Take back what a plugin registered and clean it up; return what failed."""
        self._order_hooks()
        failures = await self._take_back(name)
        self._forget(name)
        self._set(name, PluginState.STOPPED)
        for failure in failures:
            self._logger.error("plugin_cleanup_failed", plugin=name, error=loading.described(failure))
        return failures

    async def _take_back(self, name: str) -> list[Exception]:
        failures = await activation.stop(name, lambda: self.contributions.remove(name), self._deadline("stop"))
        return failures + await self._clean(name)

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
