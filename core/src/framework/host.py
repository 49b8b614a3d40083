"""`Framework`: the asynchronous object users hold. It opens the plugins, lends, reports, and closes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from framework import directories, discovery, quotas, recovery, shutdown
from framework.acquisition import Acquisition
from framework.admission import Admission
from framework.cleanup import Answer, Cleaner
from framework.errors import FrameworkError, PluginError, ResourceError, did_you_mean
from framework.finishing import finish
from framework.housekeeping import Housekeeper
from framework.ledger import Ledger
from framework.metering import Meter, Monitor, Source
from framework.plugins import Plugin, PluginManager
from framework.plugins.contributions import Contributions
from framework.protocols import AllocationStrategy, CleanupParticipant
from framework.records import CleanupReport, Health, KindRecord, LeaseRecord, LedgerStatistics, Reclamation
from framework.requests import check_ttl
from framework.resources import Resource, ResourceProvider, lease_owner
from framework.settings import Settings
from framework.telemetry import MetricsManager
from framework.threads import in_thread

LEASES_HELD = "framework_leases_held"
LEASE_EVENTS = "framework_lease_events"
RECLAIM_TIMEOUT = 10.0
"""Seconds that a provider may take to undo one thing that a dead process left."""


class Framework:
    """Runs the enabled plugins and lends what they provide.

    Args:
        settings: The configuration.
        plugins: Plugin objects of the application itself, started with the installed ones.
        owner: Who leases belong to when `acquire` does not say; the program's name and process id by default.
    """

    def __init__(self, settings: Settings | None = None, *, plugins: Iterable[Plugin] = (), owner: str = "") -> None:
        self.settings = settings or Settings.load()
        self.ledger = Ledger(quotas.from_settings(self.settings.get("quotas")), self.settings.get("leases.journal"))
        self.plugins = PluginManager(Contributions(self.ledger))
        self.plugins.host = self
        self.hooks = self.plugins.hooks
        self.meter = Meter(self.plugins.contributions.collectors, self._setting("source_timeout"))
        self.cleaner = Cleaner(self.plugins.contributions.participants, self._setting("participant_timeout"))
        self.admission = Admission()
        self._monitor = Monitor(self.meter, self._setting("monitoring_enabled"), self._setting("monitoring_interval"))
        self._owner = owner
        self._entered = self._open = False
        self._configuring = threading.Lock()
        interval = self.settings.get("leases.reclaim_interval") if self.settings.get("leases.reclaim") else None
        self._housekeeper = Housekeeper(self.ledger, self._undo, interval)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gauge = self._held_by_kind  # one object, so that it can be forgotten again
        self._told = self._events_by_kind
        for plugin in plugins:
            self.plugins.register_plugin(plugin)

    @classmethod
    def from_config(
        cls,
        source: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        *,
        flags: Iterable[str] = (),
        plugins: Iterable[Plugin] = (),
        owner: str = "",
    ) -> Self:
        """Return a host for a configuration file, a mapping, or the file that is found by itself.

        Raises:
            SettingsError: The configuration cannot be used.
        """
        return cls(Settings.load(source, flags=flags), plugins=plugins, owner=owner)

    async def __aenter__(self) -> Self:
        if self._entered:
            msg = f"This Framework {'is open' if self._open else 'was open'} already; make another one."
            raise FrameworkError(msg)
        self._entered = self._open = True
        self._loop = asyncio.get_running_loop()
        try:
            found = discovery.discover(folders=self.settings.plugin_folders)
            await self.plugins.start_all(found, self.settings)
        except BaseException:
            await self.close()
            raise
        self._export()
        await self._keep_house()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release every lease, newest first, then stop every plugin; closing twice does nothing.

        Raises:
            ExceptionGroup: Something could not be given back; everything was tried.
        """
        if not self._open:
            return
        self._open = False
        try:
            await finish(self._give_everything_back())
        finally:
            shutdown.leave(self)

    async def _keep_house(self) -> None:
        budget: float = self.settings.get("timeouts.drain")
        recovery.at_exit(budget)
        if self.settings.get("leases.signals"):
            shutdown.enter(self, self.close, budget)
        await self._housekeeper.start()
        self._monitor.start()

    async def _give_everything_back(self) -> None:
        self.admission.resume()  # those who wait learn that the host is closed
        await self._monitor.stop()
        await self._housekeeper.stop()
        failures: list[Exception] = []
        for lease in reversed(self.ledger.leases()):
            if lease.resource is not None:
                try:
                    await lease.resource.release()
                except Exception as error:  # noqa: BLE001 - every lease must be tried; all are reported together
                    failures.append(error)
        try:
            await self.plugins.cleanup()
        except ExceptionGroup as group:
            failures += group.exceptions
        MetricsManager.get_instance().forget(LEASES_HELD, self._gauge)
        MetricsManager.get_instance().forget(LEASE_EVENTS, self._told)
        if failures:
            msg = "closing the framework"
            raise ExceptionGroup(msg, failures)

    def acquire(self, kind: str, *, owner: str = "", ttl: float | None = None, **parameters: Any) -> Acquisition:
        """Acquire a resource: `async with fw.acquire("file.temp", size=4096) as file`, or `await fw.acquire(…)`.

        Args:
            kind: What to acquire, as listed by `framework resources kinds`.
            owner: Who the lease belongs to.
            ttl: Seconds after which it is given back by itself, unless it is renewed; never when None.
            parameters: What the kind takes; `name` and `size` (bytes) mean the same everywhere.

        Raises:
            UnknownKindError: No active plugin provides the kind.
            InvalidRequestError: A parameter is unknown, missing or wrong.
            ResourceError: It cannot be had, or the host is not open.
        """
        return Acquisition(self._acquire, kind, owner, ttl, parameters)

    def kinds(self) -> tuple[KindRecord, ...]:
        """Return every kind that active plugins provide; `activate_all` first shows those of all enabled ones."""
        return self.plugins.contributions.kinds()

    async def activate(self, plugin: str) -> Plugin:
        """Return a plugin, starting it and what it needs if it still waits for its first use.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            PluginError: It is disabled, blocked or broken.
        """
        return await self.plugins.activate(plugin)

    async def enable(self, plugin: str) -> None:
        """Enable and start a plugin now; it may have been installed since the host was opened.

        Raises:
            PluginNotFoundError: No plugin of that name is installed.
            PluginError: It cannot be started.
        """
        await self.plugins.enable(plugin, discovery.discover(folders=self.settings.plugin_folders))

    async def disable(self, plugin: str) -> list[str]:
        """Stop a plugin now, and before it all that need it; return what was stopped, in that order.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            ExceptionGroup: Something could not be given back; everything was tried.
        """
        return await self.plugins.disable(plugin)

    async def reload(self, plugin: str) -> None:
        """Stop a plugin, read it anew from disk, and start it again with all that need it.

        Raises:
            PluginNotFoundError: No plugin of that name is known.
            PluginError: It cannot be started any more.
        """
        await self.plugins.reload(plugin, discovery.discover(folders=self.settings.plugin_folders))

    async def execute(self, plugin: str, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Have a plugin execute what it is for, and return its answer; counted and timed.

        Raises:
            PluginError: It cannot be started, or executes nothing.
            Exception: Whatever the plugin raises.
        """
        found = await self.plugins.activate(plugin)
        async with self.plugins.measured("execute", plugin):
            return await found.execute(dict(parameters or {}))

    async def health(self, timeout: float = 5.0) -> dict[str, Health]:
        """Return the health of every active plugin; one that fails, or takes over `timeout` seconds, is unhealthy."""
        return await self.plugins.health(timeout)

    def leases(self, *, idle_for: float = 0.0, older_than: float = 0.0) -> tuple[LeaseRecord, ...]:
        """Return a snapshot of every lease, oldest first.

        Args:
            idle_for: Only those that were not used for so many seconds.
            older_than: Only those that were acquired at least so many seconds ago.
        """
        return self.ledger.records(idle_for=idle_for, older_than=older_than)

    async def reclaim(self, *, dry_run: bool = False, retry: bool = False) -> list[Reclamation]:
        """Give back now what processes of this user left behind when they died, and say what became of each lease.

        Args:
            dry_run: Only say what would be done.
            retry: Also try what failed too often before.
        """
        return await self._housekeeper.sweep(dry_run=dry_run, retry=retry)

    def statistics(self) -> LedgerStatistics:
        """Return the ledger's counts."""
        return self.ledger.statistics()

    async def service(self, name: str) -> object:
        """Return the service of that name, starting the plugin that provides it if need be.

        Raises:
            PluginError: No enabled plugin registers it.
        """
        waiting = self.plugins.waiting_provider("services", name)
        if waiting is not None:
            await self.plugins.activate(waiting)
        services = self.plugins.contributions.services()
        if name not in services:
            raise PluginError(
                f"No active plugin registered the service {name!r}; registered are {', '.join(services) or 'none'}.",
                did_you_mean(name, services),
            )
        return services[name]

    def strategies(self) -> dict[str, AllocationStrategy]:
        """Return the allocation strategies by name."""
        return self.plugins.contributions.strategies()

    def participants(self) -> list[CleanupParticipant]:
        """Return all who take part in cleanups."""
        return self.cleaner.participants()

    def add_cleanup_participant(self, name: str, answer: Answer) -> Callable[[], None]:
        """Have `answer(aggressive, reason)` called at each cleanup, in a thread; return what ends that.

        It frees what can be spared and returns the bytes that it believes to have freed, or nothing.

        Raises:
            InvalidRequestError: The name is taken, or the answer is no function.
        """
        return self.cleaner.add(name, answer)

    async def request_cleanup(self, *, aggressive: bool = False, reason: str = "requested") -> CleanupReport:
        """Ask every participant to give something back; the report says what was claimed and what was measured.

        `cleaner.request` does the same without a loop, for threads.
        """
        return await in_thread(lambda: self.cleaner.request(aggressive=aggressive, reason=reason))

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What all collectors and sources measured last, by name; reading it never blocks."""
        return self.meter.metrics

    def add_metrics_source(self, name: str, source: Source) -> Callable[[], None]:
        """Have a function asked at each update for measurements by name, in a thread; return what ends that.

        Raises:
            InvalidRequestError: The name is taken, or the source is no function.
        """
        return self.meter.add_source(name, source)

    async def update_metrics(self) -> Mapping[str, Any]:
        """Refresh the measurements now, and return them; `meter.update` does the same without a loop, for threads."""
        return await in_thread(self.meter.update)

    async def measurements(self) -> dict[str, dict[str, float]]:
        """Return what each collector of a plugin measures now; one that fails is logged and left out."""
        return await in_thread(self.meter.by_collector)

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings of the section `resource_management` in the running program.

        Args:
            changes: New values by full key, as in `{"resource_management.monitoring_interval": 15}`.

        Raises:
            SettingsError: A key cannot be changed, or a value is not allowed; then nothing was changed.
        """
        with self._configuring:
            self.settings = self.settings.changed(changes)
        self._monitor.adjust()

    def state_directory(self, name: str) -> str:
        """Return the private directory for what `name` must keep between runs, under `$XDG_STATE_HOME`."""
        return directories.state_directory(name)

    def cache_directory(self, name: str) -> str:
        """Return the private directory for what `name` can make again, under `$XDG_CACHE_HOME`."""
        return directories.cache_directory(name)

    async def _acquire(self, kind: str, owner: str, ttl: float | None, parameters: dict[str, Any]) -> Resource:
        if not self._open:
            raise ResourceError(
                f"{kind} was asked of a host that is not open.", "Use `async with Framework…` around it."
            )
        if ttl is not None:
            check_ttl(kind, ttl)
        if self.admission.paused:
            await self.admission.wait(kind)
            return await self._acquire(kind, owner, ttl, parameters)  # it may have been closed meanwhile
        provider = self.plugins.contributions.provider(kind) or await self._provider_on_use(kind)
        owner = owner or self._owner
        token = lease_owner.set(owner) if owner else None
        try:
            resource = await provider.create(kind, **parameters)
        finally:
            if token is not None:
                lease_owner.reset(token)
        if ttl is not None:
            resource.renew(ttl)
        return resource

    def _setting(self, name: str) -> Callable[[], Any]:
        """Return what reads a setting of resource management, which may change."""
        return lambda: self.settings.get(f"resource_management.{name}")

    def _undo(self, kind: str, path: str) -> None:
        """Have the provider of a kind undo what a dead process had intended; called in a thread."""
        assert self._loop is not None  # noqa: S101 - set before anybody sweeps
        undoing = asyncio.run_coroutine_threadsafe(self._reclaimed(kind, path), self._loop)
        try:
            undoing.result(RECLAIM_TIMEOUT)
        except TimeoutError:
            undoing.cancel()
            raise TimeoutError(f"its provider took longer than {RECLAIM_TIMEOUT:g} s") from None

    async def _reclaimed(self, kind: str, path: str) -> None:
        provider = self.plugins.contributions.provider(kind) or await self._provider_on_use(kind)
        await provider.reclaim(path)

    async def _provider_on_use(self, kind: str) -> ResourceProvider:
        """Start the plugin that provides a kind, if it waits for that, and return its provider."""
        name = self.plugins.waiting_provider("kinds", kind)
        if name is not None:
            await self.plugins.activate(name)
        provider = self.plugins.contributions.provider(kind)
        if provider is None:
            raise self.plugins.unknown_kind(kind)
        return provider

    def _export(self) -> None:
        MetricsManager.get_instance().observe(LEASES_HELD, self._gauge, unit="{lease}")
        MetricsManager.get_instance().observe(LEASE_EVENTS, self._told, unit="{event}", rises=True)

    def _held_by_kind(self) -> Mapping[tuple[tuple[str, str], ...], float]:
        return {(("kind", kind),): float(count) for kind, count in self.ledger.statistics().held_by_kind.items()}

    def _events_by_kind(self) -> Mapping[tuple[tuple[str, str], ...], float]:
        events = self.ledger.events().items()
        return {(("event", event), ("kind", kind)): float(count) for (event, kind), count in events}
