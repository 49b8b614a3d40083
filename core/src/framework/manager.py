"""`ResourceManager`: the synchronous face of a host, one in each process, for programs without asyncio."""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from framework.cleanup import Answer
from framework.errors import FrameworkError, PluginError
from framework.host import Framework
from framework.lent import Lent
from framework.metering import Source
from framework.plugins import Plugin
from framework.records import CleanupReport, LeaseRecord, LedgerStatistics
from framework.resources import Resource
from framework.settings import Settings
from framework.telemetry import get_logger

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

_thread = threading.local()
"""`serves` is set in the threads that run a loop of a manager."""

Config = str | os.PathLike[str] | Mapping[str, Any]


class ResourceManager:
    """Lends, measures and cleans up for a synchronous program. Thread-safe.

    There is one in a process: the first call makes it, later ones return it, until it is closed. A forked child gets
    one of its own from the same settings when it first uses it; what its parent holds is not touched there.

    Args:
        config: A configuration file or a mapping; the file that is found by itself when None.
        flags: `key=value` strings, stronger than the configuration.
        plugins: Plugin objects of the application itself.

    Raises:
        SettingsError: The configuration cannot be used.
        FrameworkError: There is one already, with another configuration.
    """

    _instance: ClassVar[ResourceManager | None] = None
    _making: ClassVar[threading.RLock] = threading.RLock()

    def __new__(
        cls, config: Config | None = None, *, flags: Iterable[str] = (), plugins: Iterable[Plugin] = ()
    ) -> Self:
        """Return the one of this process, opened."""
        if cls._instance is None:
            _refuse_on_loop()
        with cls._making:
            present = cls._instance
            if present is not None and isinstance(present, cls):
                return present
            made = super().__new__(cls)
            made._settings = made._origin = Settings.load(config, flags=flags)
            made._plugins = tuple(plugins)
            made._sources, made._answers, made._told = {}, {}, set()
            made._opening = threading.RLock()
            made._open()
            atexit.register(made.close)
            ResourceManager._instance = made
            return made

    def __init__(
        self, config: Config | None = None, *, flags: Iterable[str] = (), plugins: Iterable[Plugin] = ()
    ) -> None:
        """Refuse another configuration than that of the one there is."""
        if (config is not None or list(flags)) and Settings.load(config, flags=flags).tree != self._origin.tree:
            raise FrameworkError(
                "This process has a ResourceManager already, with another configuration.",
                "Call ResourceManager() for that one, change it with configure(), or close() it first.",
            )

    _portal: BlockingPortal
    _thread: threading.Thread
    _pid = 0
    _host: Framework | None = None
    _opening: threading.RLock
    _told: set[str]
    _origin: Settings
    _settings: Settings
    _plugins: tuple[Plugin, ...]
    _sources: dict[str, tuple[Source, Callable[[], None]]]
    _answers: dict[str, tuple[Answer, Callable[[], None]]]

    def _open(self) -> None:
        portal, thread = _start_loop()
        host = None
        try:
            host = Framework(self._settings, plugins=self._plugins)
            portal.call(host.__aenter__)
            self._subscribe(host)
            if host.settings.get("resource_management.monitoring_enabled"):
                host.meter.update()  # a first look; who monitors begins when it comes to that
        except BaseException:
            try:
                if host is not None:
                    portal.call(host.close)
            finally:
                _stop_loop(portal, thread)
            raise
        self._portal, self._thread, self._host = portal, thread, host
        self._pid = os.getpid()  # at last: until then, other threads of a forked child wait for this one

    def _subscribe(self, host: Framework) -> None:
        """Have a forked child's host ask whom its parent's asked."""
        for name, (source, _) in self._sources.items():
            self._sources[name] = source, host.add_metrics_source(name, source)
        for name, (answer, _) in self._answers.items():
            self._answers[name] = answer, host.add_cleanup_participant(name, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release every lease, stop every plugin, and end the background thread; closing twice does nothing.

        Raises:
            ExceptionGroup: Something could not be given back; everything was tried.
            FrameworkError: This is the thread of its own loop, which does the work.
        """
        _refuse_on_loop()
        with self._making:
            if ResourceManager._instance is self:
                ResourceManager._instance = None
        atexit.unregister(self.close)
        if self._pid != os.getpid():  # what a parent opened is the parent's to close
            return
        with self._opening:
            host, self._host = self._host, None
        if host is None:
            return
        try:
            self._portal.call(host.close)
        finally:
            _stop_loop(self._portal, self._thread)

    @property
    def host(self) -> Framework:
        """The host that does the work, on the loop of the background thread.

        Raises:
            FrameworkError: The manager is closed.
        """
        host = self._host
        if host is not None and self._pid != os.getpid():
            host = self._opened_in_child()
        if host is None:
            raise FrameworkError("This ResourceManager is closed.", "Call ResourceManager(…) again for another one.")
        return host

    @property
    def settings(self) -> Settings:
        """The configuration as it is now."""
        return self.host.settings

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings of the section `resource_management`; see `Framework.configure`.

        Raises:
            SettingsError: A key cannot be changed, or a value is not allowed; then nothing was changed.
        """
        self.host.configure(changes)
        self._settings = self.host.settings

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What all collectors and sources measured last, by name; reading it never blocks."""
        return self.host.metrics

    def update_metrics(self) -> Mapping[str, Any]:
        """Refresh the measurements now, and return them."""
        return self.host.meter.update()

    def add_metrics_source(self, name: str, source: Source) -> Callable[[], None]:
        """Have a function asked at each update for measurements by name; return what ends that.

        Raises:
            InvalidRequestError: The name is taken, or the source is no function.
        """
        remove = self.host.add_metrics_source(name, source)
        return _kept(self._sources, name, source, remove)

    def add_cleanup_participant(self, name: str, answer: Answer) -> Callable[[], None]:
        """Have `answer(aggressive, reason)` called at each cleanup; return what ends that.

        It frees what can be spared and returns the bytes that it believes to have freed, or nothing.

        Raises:
            InvalidRequestError: The name is taken, or the answer is no function.
        """
        remove = self.host.add_cleanup_participant(name, answer)
        return _kept(self._answers, name, answer, remove)

    def request_cleanup(self, aggressive: bool = False, reason: str = "requested") -> CleanupReport:
        """Ask every participant to give something back; the report says what was claimed and what was measured."""
        return self.host.cleaner.request(aggressive=aggressive, reason=reason)

    @property
    def memory_manager(self) -> Any:
        """The service `memory_manager` of the plugin `memory`; None, and a message in the log, without the plugin."""
        return self._manager("memory_manager")

    @property
    def concurrency_manager(self) -> Any:
        """The service `concurrency_manager` of the plugin `executors`; None, and a message in the log, without it."""
        return self._manager("concurrency_manager")

    def service(self, name: str) -> object:
        """Return the service of that name, starting the plugin that provides it if need be.

        Raises:
            PluginError: No enabled plugin registers it.
        """
        found = self.host.plugins.contributions.services().get(name)
        return self._call(self.host.service, name) if found is None else found

    def acquire(self, kind: str, *, owner: str = "", ttl: float | None = None, **parameters: Any) -> Lent:
        """Acquire a resource: `with manager.acquire("file.temp", size=4096) as file`; see `Framework.acquire`.

        Raises:
            UnknownKindError: No active plugin provides the kind.
            InvalidRequestError: A parameter is unknown, missing or wrong.
            ResourceError: It cannot be had.
        """

        async def acquire() -> Resource:
            resource: Resource = await self.host.acquire(kind, owner=owner, ttl=ttl, **parameters)
            return resource

        return Lent(self._call(acquire), self._call)

    def release(self, resource: Lent | Resource) -> None:
        """Give a resource back; giving it back twice does nothing.

        Raises:
            Exception: Whatever its provider raises; the lease is then quarantined.
        """
        self._call((resource.resource if isinstance(resource, Lent) else resource).release)

    def leases(self, *, idle_for: float = 0.0, older_than: float = 0.0) -> tuple[LeaseRecord, ...]:
        """Return a snapshot of every lease, oldest first; see `Framework.leases`."""
        return self.host.leases(idle_for=idle_for, older_than=older_than)

    def statistics(self) -> LedgerStatistics:
        """Return the ledger's counts."""
        return self.host.statistics()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a coroutine function returns on the loop of the background thread.

        It is cancelled when the wait for it ends early, by Ctrl-C; what it had acquired by then is given back.
        """
        _refuse_on_loop()
        self.host  # noqa: B018 - raises when closed, and opens another one in a forked child
        future = None
        try:
            future = self._portal.start_task_soon(function, *arguments)
            return future.result()
        except (CancelledError, RuntimeError):
            if future is None or future.cancelled():
                self.host  # noqa: B018 - another thread may have closed it meanwhile
            raise
        finally:
            if future is not None:
                future.cancel()

    def _manager(self, name: str) -> Any:
        try:
            return self.service(name)
        except PluginError as error:
            if name not in self._told:
                self._told.add(name)
                get_logger().warning("service_unavailable", service=name, reason=str(error))
            return None

    def _opened_in_child(self) -> Framework | None:
        with self._opening:
            if self._pid != os.getpid():
                self._open()
            return self._host


def _start_loop() -> tuple[BlockingPortal, threading.Thread]:
    """Run an event loop in a thread, and return the way into it.

    Not by `anyio.from_thread.start_blocking_portal`: it is a generator, and closing it waits for the thread, which a
    forked child that drops it does not have.
    """
    import anyio
    from anyio.from_thread import BlockingPortal

    started: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result(portal)
            await portal.sleep_until_stopped()

    def run() -> None:
        _thread.serves = True
        try:
            anyio.run(serve)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # no file descriptors were left for a loop

    thread = threading.Thread(target=run, name="framework-manager", daemon=True)
    thread.start()
    return started.result(), thread


def _stop_loop(portal: BlockingPortal, thread: threading.Thread) -> None:
    portal.call(functools.partial(portal.stop, cancel_remaining=True))
    thread.join()


def _refuse_on_loop() -> None:
    """Raise on the thread that would have to do what it waits for."""
    if getattr(_thread, "serves", False):
        raise FrameworkError(
            "A ResourceManager was asked on the thread of its own loop, where it would wait for itself.",
            "Use the host there (`self.host` in a plugin): what the manager waits for is awaited.",
        )


def _renew_locks() -> None:
    """Have a forked child not wait for threads that its parent has."""
    ResourceManager._making = threading.RLock()  # noqa: SLF001 - of this module
    if ResourceManager._instance is not None:  # noqa: SLF001
        ResourceManager._instance._opening = threading.RLock()  # noqa: SLF001


os.register_at_fork(after_in_child=_renew_locks)


def _kept(
    kept: dict[str, tuple[Any, Callable[[], None]]], name: str, function: Any, remove: Callable[[], None]
) -> Callable[[], None]:
    """Remember what a forked child must subscribe again, and return what forgets it, there too."""
    kept[name] = function, remove

    def forget() -> None:
        present = kept.get(name)
        if present is not None and present[0] is function:
            del kept[name]
            present[1]()

    return forget
