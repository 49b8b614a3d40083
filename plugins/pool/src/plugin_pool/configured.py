"""Makes the pool that the configuration describes."""

from __future__ import annotations

from framework import AllocationStrategy, Host
from framework.errors import SettingsError, did_you_mean
from plugin_pool.pool import ResourcePool
from plugin_pool.settings import PoolSettings
from plugin_pool.strategies import BUILT_IN, Chooser


def configured(settings: PoolSettings | None, host: Host | None) -> ResourcePool:
    """Return a pool with the entities that the configuration lists.

    Raises:
        InvalidRequestError: The description of an entity is wrong.
    """
    settings = settings or PoolSettings()
    pool = ResourcePool(
        strategy=_strategy(settings.strategy, host),
        error_after=settings.error_after,
        patience=settings.patience,
        aging=settings.aging,
    )
    for one in settings.resources:
        pool.add_resource(one)
    return pool


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
