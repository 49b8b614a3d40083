"""Plugins that break on purpose, in a phase of your choice."""

from __future__ import annotations

from collections.abc import Iterable

from framework.hookspecs import hookimpl
from framework.plugins import Plugin, plugin
from framework.records import PluginType
from framework.resources import ResourceProvider

PHASES = ("construct", "initialize", "register", "cleanup")


def broken_plugin(name: str, phase: str, error: BaseException, dependencies: Iterable[str] = ()) -> type[Plugin]:
    """Return a plugin class that raises `error` in one phase of its life and does nothing otherwise.

    Args:
        name: The plugin's name.
        phase: One of `construct`, `initialize`, `register` and `cleanup`.
        error: What is raised.
        dependencies: What the plugin requires.

    Raises:
        ValueError: There is no such phase.
    """
    if phase not in PHASES:
        msg = f"phase is {phase!r}; allowed: {', '.join(PHASES)}"
        raise ValueError(msg)

    def reach(now: str) -> None:
        if now == phase:
            raise error

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
            reach("construct")

        async def initialize(self) -> None:
            reach("initialize")

        async def cleanup(self) -> None:
            reach("cleanup")

        @hookimpl
        def register_resource_providers(self) -> list[ResourceProvider]:
            reach("register")
            return []

    return Broken
