"""Makes the pool that the configuration describes."""

from __future__ import annotations

import os
from typing import Any

from framework import AllocationStrategy, Host
from framework.errors import SettingsError, did_you_mean
from plugin_pool.pool import ResourcePool
from plugin_pool.records import TaskResourceAllocation
from plugin_pool.settings import PoolSettings
from plugin_pool.strategies import BUILT_IN, Chooser


def configured(settings: PoolSettings | None, host: Host | None) -> ResourcePool:
    """Return a pool with the entities that the configuration lists, and those that were kept.

    Raises:
        InvalidRequestError: The description of an entity is wrong.
        ResourceError: It is to be kept, and its directory cannot be used.
    """
    settings = settings or PoolSettings()
    if settings.state is None:
        pool = ResourcePool(**parameters(settings, host))
        for one in settings.resources:
            pool.add_resource(one)
        return pool
    return _kept(settings.state, settings, host, parameters(settings, host))


def parameters(settings: PoolSettings, host: Host | None) -> dict[str, Any]:
    """Return what the settings say to the constructor of a pool."""
    return {
        "strategy": _strategy(settings.strategy, host),
        "error_after": settings.error_after,
        "patience": settings.patience,
        "aging": settings.aging,
    }


def _kept(path: str, settings: PoolSettings, host: Host | None, given: dict[str, Any]) -> ResourcePool:
    from plugin_pool.keeping.merging import merge  # only for those who keep something

    def ask(allocation: TaskResourceAllocation) -> bool | None:
        """Return what the plugins know; one that has it outweighs those that do not."""
        if host is None:
            return None
        about = {"task_id": allocation.task_id, "resources": allocation.allocated_resources}
        answers = host.hooks.call("pool_owner_alive", **about)
        return (True in answers) if answers else None

    kept = ResourcePool.open(
        os.path.expanduser(path), durability=settings.durability, grace=settings.grace, ask=ask, **given
    )
    try:
        merge(kept, settings.resources)
    except BaseException:
        kept.close()
        raise
    return kept


def _strategy(name: str, host: Host | None) -> Chooser:
    """Return a built-in strategy, or what finds one that another plugin registers, when it is first needed."""

    def registered() -> AllocationStrategy:
        known = {**BUILT_IN, **(host.strategies() if host is not None else {})}
        if name not in known:
            raise SettingsError(
                f"plugins.pool.strategy is {name!r}, which no active plugin registers; there are {', '.join(known)}.",
                did_you_mean(name, known)
                or "Enable the plugin that registers it: `strategies: {}` under `plugins:` for those of `strategies`.",
                plugin="pool",
            )
        return known[name]

    return name if name in BUILT_IN else registered
