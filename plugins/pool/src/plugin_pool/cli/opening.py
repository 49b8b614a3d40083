"""Opens the pool that a command looks at or changes.

It is the one that the option --state names, or the setting `plugins.pool.state`, or else the one that the configuration
describes. Looking changes nothing, also where a program has the pool open: a kept pool is copied, and the copy is
opened. It shows what a program would find that opened it now. Changing is for one process at a time, so it opens the
pool itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from framework import CommandContext
from framework.errors import InvalidRequestError, SettingsError
from plugin_pool.cli.copying import copied, refuse_if_none
from plugin_pool.hosting.configured import configured, parameters
from plugin_pool.pool import ResourcePool
from plugin_pool.settings import PoolSettings

T = TypeVar("T")

_ALONE: dict[str, Any] = {"durability": "none", "grace": None}
"""How a copy is opened: nobody else will ever see what becomes of it."""


def state_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option to name the directory of a kept pool."""
    return click.option(
        "--state", metavar="PATH", help="The directory in which a program keeps its pool; default: plugins.pool.state."
    )(function)


def look(context: CommandContext, state: str | None, use: Callable[[ResourcePool], T]) -> T:
    """Return what a function makes of the configured pool, or of a copy of a kept one.

    Raises:
        InvalidRequestError: There is no kept pool.
        ResourceUnavailableError: It cannot be read.
        StateError: It is damaged.
    """

    def looked(host: Any) -> T:
        settings = settings_of(host)
        path = _path(state, settings)
        if path is None or (state is None and not os.path.exists(path)):
            return use(configured(settings.model_copy(update={"state": None}), host))

        def opened(copy: str) -> ResourcePool:
            if state is not None:
                return ResourcePool.open(copy, **_ALONE, **parameters(settings, host))
            return configured(settings.model_copy(update={"state": copy, **_ALONE}), host)

        return copied(path, opened, use)

    return with_host(context, looked)


def change(context: CommandContext, state: str | None, use: Callable[[ResourcePool], T], *, begin: bool = False) -> T:
    """Return what a function makes of a kept pool that it may change.

    Args:
        context: The command's.
        state: The directory of the pool, instead of that of the configuration.
        use: The function.
        begin: True to begin a pool where there is none.

    Raises:
        InvalidRequestError: No pool is named, or there is none.
        ResourceUnavailableError: Another process has it open, or it cannot be written.
        StateError: It is damaged.
    """

    def changed(host: Any) -> T:
        settings = settings_of(host)
        path = _path(state, settings)
        if path is None:
            raise InvalidRequestError(
                "A command cannot change the pool that the configuration describes.",
                "Edit plugins.pool.resources, or name the directory of a kept pool with --state.",
            )
        if not begin:
            refuse_if_none(path)
        with ResourcePool.open(path, durability="fsync", grace=None, **parameters(settings, host)) as pool:
            return use(pool)

    return with_host(context, changed)


def with_host(context: CommandContext, use: Callable[[Any], T]) -> T:
    """Return what a function makes of the host of a command."""

    async def opened() -> T:
        async with context.open() as host:
            return use(host)

    return asyncio.run(opened())


def _path(state: str | None, settings: PoolSettings) -> str | None:
    if state is not None or settings.state is None:
        return state
    return os.path.expanduser(settings.state)


def settings_of(host: Any) -> PoolSettings:
    """Return the settings of this plugin, without starting it: it would open a pool that is kept.

    Raises:
        SettingsError: They are wrong.
    """
    try:
        return PoolSettings(**host.settings.section("pool"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["plugins.pool", *map(str, first["loc"])])
        raise SettingsError(f"The setting {where!r} is wrong: {first['msg']}.", "Correct it.", plugin="pool") from error
