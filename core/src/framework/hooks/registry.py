"""`HookRegistry`: pluggy's plugin manager, which validates, with owners of specifications and named deprecations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pluggy

from framework import hookspecs
from framework.errors import FrameworkDeprecationWarning, PluginError
from framework.hooks.specification import Specification
from framework.telemetry import get_logger

KERNEL = "the kernel"
"""Who owns the hooks of the kernel. No plugin can have this name."""


class HookRegistry(pluggy.PluginManager):
    """Knows every specification with its owner, and every implementation.

    A specification goes when the plugin that brought it is unregistered. pluggy is left to check signatures; what is
    historic and what is deprecated is ours, so that it can be said which plugin is concerned.
    """

    changed: Callable[[], object] = staticmethod(lambda: None)
    """Called after every change."""

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self.specifications: dict[str, Specification] = {}
        self._warnings: dict[str, list[str]] = {}
        self.add_hookspecs(hookspecs)

    def warnings(self, plugin: str) -> tuple[str, ...]:
        """Return what is deprecated of what a plugin implements, and which optional hook of it does not fit."""
        return tuple(self._warnings.get(plugin, ()))

    def add_hookspecs(self, module_or_class: Any, owner: str = KERNEL) -> None:
        """Add every function of a module, class or object that is marked with `hookspec`.

        An implementation that was waiting for it and does not fit is dropped with a warning: it is its own plugin's
        fault, not the owner's.

        Args:
            module_or_class: Where the functions are.
            owner: The plugin that specifies them; they go when it is unregistered.

        Raises:
            PluginError: There is none, or one cannot be called as specified, or somebody else specified it already.
        """
        options = {
            name: super(HookRegistry, self).parse_hookspec_opts(module_or_class, name) for name in dir(module_or_class)
        }
        fresh = [
            Specification.read(module_or_class, name, one, owner) for name, one in options.items() if one is not None
        ]
        if not fresh:
            raise PluginError(f"{module_or_class!r} of {owner!r} holds no function marked with hookspec.", plugin=owner)
        for one in fresh:
            former = self.specifications.get(one.name)
            if former is not None:
                msg = f"{owner!r} specifies the hook {one.name!r}, which {former.owner!r} specified already."
                raise PluginError(msg, "Give one of the two another name.", plugin=owner)
            self._drop_misfits(one)
        super().add_hookspecs(module_or_class)
        self.specifications |= {one.name: one for one in fresh}
        for one in fresh:
            for implementation in self._caller(one.name).get_hookimpls():
                self._warn(one, implementation)
        self.changed()

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Register a plugin's implementations; all or none.

        Raises:
            pluggy.PluginValidationError: One wants an argument that its hook does not have.
            PluginError: One is a wrapper, or `async def` where its hook is not.
            ValueError: The plugin or its name is registered already.
        """
        registered = super().register(plugin, name)
        try:
            for caller in self.get_hookcallers(plugin) or ():
                one = self.specifications.get(caller.name)
                for implementation in caller.get_hookimpls():
                    if one is not None and implementation.plugin is plugin:
                        self._check(one, implementation)
        except BaseException:
            self.unregister(plugin)
            raise
        self.changed()
        return registered

    def unregister(self, plugin: Any | None = None, name: str | None = None) -> Any | None:
        """Unregister a plugin with what it implements and what it specified."""
        owner = name or self.get_name(plugin)
        removed = super().unregister(plugin, name)
        for one in [one for one in self.specifications.values() if one.owner == owner]:
            del self.specifications[one.name]
            caller = self._caller(one.name)
            caller.spec = None
            if not caller.get_hookimpls():
                delattr(self.hook, one.name)
        self._warnings.pop(owner or "", None)
        self.changed()
        return removed

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        """Return what pluggy is to know of a specification: history and deprecation are ours."""
        options = super().parse_hookspec_opts(module_or_class, name)
        if options is None:
            return None
        return {**options, "historic": False, "warn_on_impl": None, "warn_on_impl_args": None}

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        """Return the options of an implementation.

        Raises:
            PluginError: It is a wrapper.
        """
        options = super().parse_hookimpl_opts(plugin, name)
        if options and (options.get("wrapper") or options.get("hookwrapper")):
            raise PluginError(
                f"{name} is a hook wrapper; wrappers are not called, because a failing one takes the others with it.",
                "Use tryfirst or trylast.",
            )
        return options

    def _caller(self, name: str) -> pluggy.HookCaller:
        caller: pluggy.HookCaller = getattr(self.hook, name)
        return caller

    def _check(self, one: Specification, implementation: pluggy.HookImpl) -> None:
        reason = "" if one.owner == KERNEL else one.misfit(implementation)  # the kernel awaits what needs it
        if reason:
            raise PluginError(f"{reason[0].upper()}{reason[1:]}.", plugin=implementation.plugin_name)
        self._warn(one, implementation)

    def _drop_misfits(self, one: Specification) -> None:
        waiting: pluggy.HookCaller | None = getattr(self.hook, one.name, None)
        if waiting is None:
            return
        for implementation in waiting.get_hookimpls():
            reason = one.misfit(implementation)
            if reason:
                waiting._remove_plugin(implementation.plugin)  # noqa: SLF001 - pluggy can only unregister all of a plugin
                self._note(implementation.plugin_name, one.name, f"It is not called: {reason}.")

    def _warn(self, one: Specification, implementation: pluggy.HookImpl) -> None:
        for subject, warning in one.deprecations(implementation):
            if isinstance(warning, FrameworkDeprecationWarning):
                warning = warning.about(subject)
            text = str(warning) if isinstance(warning, FrameworkDeprecationWarning) else f"{subject} warns: {warning}"
            self._note(implementation.plugin_name, one.name, text)
            code = getattr(implementation.function, "__code__", None)
            place = (code.co_filename, code.co_firstlineno) if code else (__file__, 1)
            warnings.warn_explicit(warning, None, *place)

    def _note(self, plugin: str, hook: str, text: str) -> None:
        self._warnings.setdefault(plugin, []).append(text)
        get_logger().warning("hook_warned", plugin=plugin, hook=hook, warning=text)
