"""`Specification`: what a hook is, read from the function that specifies it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from framework.errors import PluginError

_PLAIN = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


@dataclass(frozen=True, slots=True)
class Specification:
    """One hook: its arguments, its way of being called, and what is deprecated of it."""

    name: str
    owner: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    defaults: tuple[Any, ...]
    asynchronous: bool
    firstresult: bool
    historic: bool
    deprecation: Warning | None
    deprecated_arguments: Mapping[str, Warning]

    @classmethod
    def read(cls, namespace: Any, name: str, options: Mapping[str, Any], owner: str) -> Specification:
        """Read the specification of that name from a module, class or object.

        Raises:
            PluginError: It cannot be called as specified.
        """
        function = getattr(namespace, name)
        parameters = list(inspect.signature(function).parameters.values())
        if inspect.isclass(namespace) and parameters and parameters[0].name in {"self", "cls"}:
            del parameters[0]
        one = cls(
            name,
            owner,
            function,
            tuple(each.name for each in parameters),
            tuple(each.default for each in parameters if each.default is not each.empty),
            inspect.iscoroutinefunction(function),
            bool(options.get("firstresult")),
            bool(options.get("historic")),
            options.get("warn_on_impl"),
            options.get("warn_on_impl_args") or {},
        )
        odd = [str(each) for each in parameters if each.kind not in _PLAIN or each.name.startswith("__")]
        if odd:
            raise one._refusal(f"takes {', '.join(odd)}; allowed are plain arguments without leading underscores")
        if one.historic and one.asynchronous:
            raise one._refusal("is historic and `async def`; what is replayed to late plugins must be a plain `def`")
        return one

    def misfit(self, one: pluggy.HookImpl) -> str:
        """Return why an implementation does not fit, or nothing."""
        unknown = [name for name in one.argnames if name not in self.arguments]
        if unknown:
            allowed = ", ".join(self.arguments) or "none"
            return f"its hook {self.name!r} wants {', '.join(unknown)}, but the arguments are {allowed}"
        if is_asynchronous(one.function) and not self.asynchronous:
            return f"its hook {self.name!r} is `async def`, but is specified by {self.owner!r} as a plain `def`"
        return ""

    def deprecations(self, one: pluggy.HookImpl) -> Iterator[tuple[str, Warning]]:
        """Return what is deprecated of what an implementation uses, each with its warning."""
        if self.deprecation is not None:
            yield f"The hook {self.name!r}, which plugin {one.plugin_name!r} implements,", self.deprecation
        for name in (*one.argnames, *one.kwargnames):
            if name in self.deprecated_arguments:
                subject = f"The argument {name!r} of the hook {self.name!r}, which plugin {one.plugin_name!r} takes,"
                yield subject, self.deprecated_arguments[name]

    def _refusal(self, reason: str) -> PluginError:
        return PluginError(f"The hook {self.name!r} that {self.owner!r} specifies {reason}.", plugin=self.owner)


def is_asynchronous(function: Callable[..., Any]) -> bool:
    """Return whether what a function returns must be awaited, also where it is decorated."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))
