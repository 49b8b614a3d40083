"""`Rulebook`: the rules for inference that are in force in a host: the pool's own, those set, those of plugins."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from framework import get_logger
from plugin_pool.rules import RULES, Tell, checked

HOOK = "register_inference_rules"


class Rulebook:
    """Collects rules. What cannot be used is reported once, by the name of its plugin, and left out.

    Args:
        hooks: The hooks of the host; None without one.
        rules: Those of the settings.
    """

    def __init__(self, hooks: Any, rules: Iterable[object] = ()) -> None:
        self._hooks = hooks
        self._own: Sequence[Tell] = [checked(one) for one in (*RULES, *rules)]
        self._known: dict[str, tuple[object, Sequence[Tell]]] = {}
        self._reported: set[tuple[str, str]] = set()

    def __call__(self) -> list[Tell]:
        """Return all rules that are in force now."""
        if self._hooks is None:
            return list(self._own)
        return [*self._own, *(rule for name, given in self._asked() for rule in self._usable(name, given))]

    def _asked(self) -> Iterable[tuple[str, object]]:
        """Ask the plugins one by one, because each is to be named with what is wrong with its rules."""
        active = next((one.implemented_by for one in self._hooks.records() if one.name == HOOK), ())
        for implementation in getattr(self._hooks.registry.hook, HOOK).get_hookimpls() if active else ():
            if implementation.plugin_name in active:
                try:
                    yield implementation.plugin_name, implementation.function()
                except Exception as error:  # noqa: BLE001 - the other plugins' rules count all the same
                    self._report(implementation.plugin_name, "", error)

    def _usable(self, plugin: str, given: object) -> Sequence[Tell]:
        former = self._known.get(plugin)
        if former is not None and former[0] is given:  # most plugins return a constant
            return former[1]
        rules = []
        if isinstance(given, str) or not isinstance(given, Iterable):
            self._report(plugin, repr(given)[:60], TypeError("a list of rules is allowed"))
            return ()
        for one in self._listed(plugin, given):
            try:
                rules.append(checked(one))
            except Exception as error:  # noqa: BLE001 - anything may be wrong with a stranger's object
                self._report(plugin, repr(one)[:60], error)
        if isinstance(given, tuple):
            self._known[plugin] = given, rules
        return rules

    def _listed(self, plugin: str, given: Iterable[object]) -> list[object]:
        try:
            listed = list(itertools.islice(given, _MOST + 1))  # it may have no end
        except Exception as error:  # noqa: BLE001 - as for each of them
            self._report(plugin, repr(given)[:60], error)
            return []
        if len(listed) > _MOST:
            self._report(plugin, repr(given)[:60], ValueError(f"{_MOST:,} rules are allowed; the others are left out"))
        return listed[:_MOST]

    def _report(self, plugin: str, rule: str, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}"
        if (plugin, said) not in self._reported and len(self._reported) < _MOST:
            self._reported.add((plugin, said))
            get_logger().warning("pool_rules_refused", plugin=plugin, rule=rule, error=said)


_MOST = 1000
"""So many rules of one plugin count, and so many faults are reported: a plugin may make up new ones each time."""
