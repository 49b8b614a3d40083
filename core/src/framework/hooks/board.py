"""`Hooks`: calls extension points by name, and says who specifies and implements them."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import pluggy

from framework.errors import FrameworkDeprecationWarning, PluginError, did_you_mean
from framework.hooks.hook import Hook, Tracer
from framework.hooks.records import HookRecord, HookStatistics
from framework.hooks.registry import KERNEL, HookRegistry
from framework.hooks.specification import Specification


class Hooks:
    """Calls the hooks that plugins specify, on those active plugins that implement them.

    Implementations marked `tryfirst` come first and those marked `trylast` last; within each of the three groups they
    come in the order of their plugins (`set_order`). An implementation that raises never keeps the others from
    running.
    """

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        self._order: dict[str, int] = {}
        self._tracers: list[Tracer] = []
        self.registry = HookRegistry()
        self.registry.changed = self._change

    def set_order(self, plugins: Iterable[str]) -> None:
        """Say which plugins are called, first to last. A historic hook is now replayed to those that are new."""
        former = self._order.keys()
        self._order = {name: index for index, name in enumerate(plugins)}
        new = self._order.keys() - former
        self._change()
        for hook in list(self._hooks.values()):
            hook.replay(new)

    def hook(self, name: str) -> Hook:
        """Return a hook, whose `call` is the fastest way to call it.

        Raises:
            PluginError: No plugin specifies it.
        """
        found = self._hooks.get(name)
        if found is None:
            known = ", ".join(sorted(self._hooks)) or "none"
            whose = (
                "belongs to the kernel" if name in self.registry.specifications else "is not specified by any plugin"
            )
            raise PluginError(
                f"The hook {name!r} {whose}; those that can be called are {known}.", did_you_mean(name, self._hooks)
            )
        found.renewed()
        return found

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a hook and return its results, see `Hook`; await it where the hook is specified by `async def`.

        Raises:
            PluginError: No plugin specifies it.
            TypeError: An argument is missing or unknown.
        """
        return (self._hooks.get(name) or self.hook(name)).call(**arguments)

    def call_strict(self, name: str, /, **arguments: Any) -> Any:
        """Call a hook, and raise what its implementations raised when all of them ran.

        Raises:
            PluginError: No plugin specifies it.
            TypeError: An argument is missing or unknown.
            ExceptionGroup: Some implementations failed.
        """
        return self.hook(name).strict(**arguments)

    def records(self) -> tuple[HookRecord, ...]:
        """Return one row for each hook that is specified or implemented, the kernel's first, then by name."""
        names = [name for name in vars(self.registry.hook) if not name.startswith("_")]
        rows = [self._record(name) for name in names]
        return tuple(sorted(rows, key=lambda one: (one.specified_by != KERNEL, one.name)))

    def statistics(self) -> tuple[HookStatistics, ...]:
        """Return how the implementations of active plugins did, by plugin and hook."""
        rows = [one for hook in list(self._hooks.values()) for one in hook.statistics()]
        return tuple(sorted(rows, key=lambda one: (one.plugin, one.hook)))

    def warnings(self, plugin: str) -> tuple[str, ...]:
        """Return what is deprecated of what a plugin implements, and which optional hook of it does not fit."""
        return self.registry.warnings(plugin)

    @contextlib.contextmanager
    def trace(self, callback: Tracer) -> Iterator[None]:
        """Show every call of every implementation to a function, until the block is left."""
        self._tracers.append(callback)
        for hook in self._hooks.values():
            hook.observe()
        try:
            yield
        finally:
            self._tracers.remove(callback)

    def _change(self) -> None:
        """Follow the registry: new specifications become hooks, and those that are gone cannot be called."""
        specified = {name: one for name, one in self.registry.specifications.items() if one.owner != KERNEL}
        for hook in self._hooks.values():
            hook.change(self._order)
        kept = {name: hook for name, hook in self._hooks.items() if specified.get(name) is hook.specification}
        fresh = {name: Hook(one, self._find, self._tracers) for name, one in specified.items() if name not in kept}
        self._hooks = kept | fresh

    def _find(self, one: Specification) -> list[pluggy.HookImpl]:
        if self.registry.specifications.get(one.name) is not one:
            raise PluginError(
                f"The hook {one.name!r} went when plugin {one.owner!r}, which specified it, stopped.",
                "Ask for the hook again when the plugin is active.",
                plugin=one.owner,
            )
        return self._ordered(getattr(self.registry.hook, one.name))

    def _ordered(self, caller: pluggy.HookCaller) -> list[pluggy.HookImpl]:
        found = [one for one in caller.get_hookimpls() if one.plugin_name in self._order]
        return sorted(found, key=lambda one: (_group(one), self._order[one.plugin_name]))

    def _record(self, name: str) -> HookRecord:
        caller: pluggy.HookCaller = getattr(self.registry.hook, name)
        implemented_by = tuple(one.plugin_name for one in self._ordered(caller))
        one = self.registry.specifications.get(name)
        if one is None:
            return HookRecord(name, "", implemented_by)
        form = one.asynchronous, one.firstresult, one.historic
        description = (inspect.getdoc(one.function) or "").partition("\n")[0]
        deprecated = [_advice(one.deprecation)] if one.deprecation else []
        deprecated += [f"{argument}: {_advice(warning)}" for argument, warning in one.deprecated_arguments.items()]
        return HookRecord(name, one.owner, implemented_by, one.arguments, *form, " ".join(deprecated), description)


def _group(one: pluggy.HookImpl) -> int:
    return 0 if one.tryfirst else 2 if one.trylast else 1


def _advice(warning: Warning) -> str:
    if isinstance(warning, FrameworkDeprecationWarning):
        return warning.advice(warning.removed_in, warning.use)
    return str(warning)
