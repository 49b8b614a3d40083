"""`Contributions`: everything that active plugins registered, by the plugin that registered it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from framework.errors import PluginError, PluginLoadError, did_you_mean
from framework.finishing import finish
from framework.hooks import HookRegistry
from framework.ledger import Ledger
from framework.plugins import activation
from framework.plugins.base import Plugin
from framework.protocols import AllocationStrategy, CleanupParticipant, MetricsCollector
from framework.records import KindRecord
from framework.resources import ResourceProvider


@dataclass(slots=True)
class Contribution:
    """What one plugin registered."""

    providers: list[ResourceProvider] = field(default_factory=list)
    participants: list[CleanupParticipant] = field(default_factory=list)
    collectors: list[MetricsCollector] = field(default_factory=list)
    strategies: list[AllocationStrategy] = field(default_factory=list)
    services: dict[str, object] = field(default_factory=dict)
    kinds: dict[str, tuple[ResourceProvider, KindRecord]] = field(default_factory=dict)


class Contributions:
    """Registers what plugins contribute, all or nothing for each plugin, and finds it again by name.

    Args:
        ledger: The ledger that every provider records its leases in.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._by_plugin: dict[str, Contribution] = {}
        self._kinds: dict[str, tuple[ResourceProvider, KindRecord]] = {}

    async def add(self, name: str, plugin: Plugin, hooks: HookRegistry) -> None:
        """Call the plugin's hooks, check what they return, and initialize its providers.

        Raises:
            PluginError: A hook returned something that does not fit, or a name is taken.
            Exception: Whatever a hook or a provider raised; nothing of the plugin stays registered.
        """
        for spec in await _results(hooks, plugin, "add_hookspecs"):
            hooks.add_hookspecs(spec, name)
        verify(name, plugin, hooks)
        one = Contribution(
            await _typed(hooks, name, plugin, "register_resource_providers", ResourceProvider),
            await _typed(hooks, name, plugin, "register_cleanup_participants", CleanupParticipant),
            await _typed(hooks, name, plugin, "register_metrics_collectors", MetricsCollector),
            await _typed(hooks, name, plugin, "register_allocation_strategies", AllocationStrategy),
            dict(await _results(hooks, plugin, "register_services", dict)),
        )
        self._refuse_doubles(name, one)
        try:
            for provider in one.providers:
                provider.ledger = self.ledger
                await provider.initialize()
        except BaseException:
            await finish(self._cleanup(one))  # a cancelled start must give back what it already took
            raise
        self._by_plugin[name] = one
        self._kinds |= one.kinds

    async def remove(self, name: str) -> None:
        """Clean up and forget what a plugin registered; a plugin that registered nothing is fine.

        Raises:
            ExceptionGroup: Some providers could not be cleaned up; all were tried.
        """
        one = self._by_plugin.pop(name, None)
        if one is None:
            return
        for kind in one.kinds:
            del self._kinds[kind]
        failures = await self._cleanup(one)
        if failures:
            msg = f"cleaning up the providers of plugin {name!r}"
            raise ExceptionGroup(msg, failures)

    def provider(self, kind: str) -> ResourceProvider | None:
        """Return the provider of a kind."""
        found = self._kinds.get(kind)
        return found[0] if found else None

    def kinds(self) -> tuple[KindRecord, ...]:
        """Return every kind that can be acquired now, sorted."""
        return tuple(record for _, (_, record) in sorted(self._kinds.items()))

    def services(self) -> dict[str, object]:
        """Return every service by name."""
        return {key: value for one in self._by_plugin.values() for key, value in one.services.items()}

    def participants(self) -> list[CleanupParticipant]:
        """Return the cleanup participants in the order their plugins started."""
        return [each for one in self._by_plugin.values() for each in one.participants]

    def collectors(self) -> list[MetricsCollector]:
        """Return the metrics collectors in the order their plugins started."""
        return [each for one in self._by_plugin.values() for each in one.collectors]

    def strategies(self) -> dict[str, AllocationStrategy]:
        """Return the allocation strategies by name."""
        return {each.name: each for one in self._by_plugin.values() for each in one.strategies}

    def _refuse_doubles(self, name: str, one: Contribution) -> None:
        for provider in one.providers:
            for record in provider.kinds(name):
                holder = (self._kinds | one.kinds).get(record.kind)
                _refuse_double(name, "kind", record.kind, holder and holder[1].plugin)
                one.kinds[record.kind] = provider, record
        families: list[tuple[str, Callable[[Contribution], list[str]]]] = [
            ("service", lambda each: list(each.services)),
            ("strategy", lambda each: [strategy.name for strategy in each.strategies]),
            ("collector", lambda each: [collector.name for collector in each.collectors]),
        ]
        for family, names in families:
            holders = {key: other for other, former in self._by_plugin.items() for key in names(former)}
            for key in names(one):
                _refuse_double(name, family, key, holders.get(key))
                holders[key] = name

    @staticmethod
    async def _cleanup(one: Contribution) -> list[Exception]:
        failures: list[Exception] = []
        for provider in reversed(one.providers):
            try:
                await provider.cleanup()
            except BaseException as error:
                if activation.ends_more(error):
                    raise
                failures.append(activation.raisable(error, "A provider"))
        return failures


def verify(name: str, plugin: Plugin, hooks: pluggy.PluginManager) -> None:
    """Refuse a plugin that implements a hook nobody specified.

    Raises:
        PluginLoadError: Naming the hook and the nearest known one.
    """
    callers = hooks.get_hookcallers(plugin) or []
    known = sorted(one for one in vars(hooks.hook) if not one.startswith("_") and getattr(hooks.hook, one).has_spec())
    for caller in callers:
        optional = all(each.optionalhook for each in caller.get_hookimpls() if each.plugin is plugin)
        if not caller.has_spec() and not optional:
            raise PluginLoadError(
                f"Plugin {name!r} implements the unknown hook {caller.name!r}; known are {', '.join(known)}.",
                did_you_mean(caller.name, known),
                plugin=name,
            )


async def _results(hooks: pluggy.PluginManager, plugin: Plugin, hook: str, into: Callable[[Any], Any] = list) -> Any:
    """Return what one plugin's implementation of a hook returns, or nothing where it has none."""
    for implementation in getattr(hooks.hook, hook).get_hookimpls():
        if implementation.plugin is plugin:
            result = implementation.function()
            if inspect.isawaitable(result):
                result = await result
            if not isinstance(result, Mapping if into is dict else Iterable) or isinstance(result, str):
                wanted = "a mapping" if into is dict else "a list"
                name = implementation.plugin_name
                msg = f"{hook} of plugin {name!r} returned {result!r}, a {type(result).__name__}; expected {wanted}."
                raise PluginError(msg, plugin=name)
            return into(result)
    return into(())


async def _typed(hooks: pluggy.PluginManager, name: str, plugin: Plugin, hook: str, wanted: type) -> list[Any]:
    items: list[Any] = await _results(hooks, plugin, hook)
    for item in items:
        if not isinstance(item, wanted):
            msg = f"{hook} of plugin {name!r} returned {item!r}, a {type(item).__name__}; expected {wanted.__name__}."
            raise PluginError(msg, plugin=name)
    return items


def _refuse_double(name: str, what: str, key: str, holder: str | None) -> None:
    if holder is not None:
        raise PluginError(
            f"Plugin {name!r} registers the {what} {key!r}, which plugin {holder!r} already registered.",
            "Disable one of the two plugins.",
            plugin=name,
        )
