"""Plugins that misbehave on purpose, each in a phase and in a way of your choice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable

from framework.hookspecs import hookimpl
from framework.plugins import Plugin, plugin
from framework.records import PluginType
from framework.resources import ResourceProvider

PHASES = ("construct", "initialize", "register", "cleanup")

Fault = Callable[[], Awaitable[object] | None]


def faulty_plugin(name: str, phase: str, fault: Fault, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that calls `fault` in one phase of its life and does nothing otherwise.

    Args:
        name: The plugin's name.
        phase: One of `construct`, `initialize`, `register` and `cleanup`.
        fault: What is called; what it returns is awaited, except in `construct`, where there is nobody to await it.
        dependencies: What the plugin requires.

    Raises:
        ValueError: There is no such phase.
    """
    if phase not in PHASES:
        msg = f"phase is {phase!r}; allowed: {', '.join(PHASES)}"
        raise ValueError(msg)

    async def reach(now: str) -> None:
        result = fault() if now == phase else None
        if result is not None:
            await result

    @plugin(
        name=name,
        version="1.0.0",
        description=f"Breaks in {phase}.",
        author="The framework authors",
        plugin_type=PluginType.PROCESSOR,
        dependencies=list(dependencies),
    )
    class Broken(Plugin):
        def __init__(self) -> None:
            if phase == "construct":
                fault()

        async def initialize(self) -> None:
            await reach("initialize")

        async def cleanup(self) -> None:
            await reach("cleanup")

        @hookimpl
        async def register_resource_providers(self) -> list[ResourceProvider]:
            await reach("register")
            return []

    return Broken


def broken_plugin(name: str, phase: str, error: BaseException, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that raises `error` in one phase; the arguments are those of `faulty_plugin`.

    The error may be any: `SystemExit`, `KeyboardInterrupt` or another `BaseException` too.
    """

    def fail() -> None:
        raise error

    return faulty_plugin(name, phase, fail, dependencies)


def hanging_plugin(name: str, phase: str, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that waits for ever in one phase; cancelling it ends the wait.

    Raises:
        ValueError: There is no such phase, or it is `construct`, where nothing can be awaited.
    """
    if phase == "construct":
        msg = "phase is 'construct', which cannot wait; use blocking_plugin"
        raise ValueError(msg)
    return faulty_plugin(name, phase, lambda: asyncio.Event().wait(), dependencies)


def blocking_plugin(name: str, phase: str, seconds: float, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that keeps the whole event loop from running for some seconds in one phase."""
    return faulty_plugin(name, phase, lambda: time.sleep(seconds), dependencies)


def exiting_plugin(name: str, phase: str, code: int = 3, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that ends the process at once with an exit code, as a crash does: nothing is cleaned up."""
    return faulty_plugin(name, phase, lambda: os._exit(code), dependencies)


def meddling_plugin(name: str, phase: str, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that changes the process in one phase and does not change it back.

    It puts a folder on `sys.path`, sets the variable `MEDDLED` to the plugin's name, ignores SIGUSR1 (in the main
    thread), and starts a thread that ends when the class's method `stop` is called.
    """
    ended = threading.Event()

    def meddle() -> None:
        sys.path.append(f"/meddled/{name}")
        os.environ["MEDDLED"] = name
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        threading.Thread(target=ended.wait, name=f"meddling-{name}", daemon=True).start()

    meddling = faulty_plugin(name, phase, meddle, dependencies)
    meddling.stop = staticmethod(ended.set)  # type: ignore[attr-defined]  # how a test ends the thread
    return meddling
