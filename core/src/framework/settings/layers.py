"""`Layers`: merges layers of configuration, weakest first, and remembers where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework import documents
from framework.errors import SettingsError
from framework.frozen import Frozen


class Value(Frozen):
    """One value with where it came from, and the values that it overrode, nearest first."""

    value: Any
    source: str
    overridden: tuple[tuple[Any, str], ...] = ()


class Layers:
    """The merged tree, and the origin of each of its leaves."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[str, Value] = {}

    def add(self, layer: Mapping[str, Any], source: str) -> None:
        """Add a stronger layer.

        Raises:
            SettingsError: It is nested too deeply, too large, or has keys that are no texts.
        """
        documents.refuse_endless(layer, source)
        self._merge(self.tree, layer, "", source)

    def set(self, parts: list[str], text: str, source: str) -> None:
        """Add a stronger layer of one value, whose text is YAML.

        Raises:
            SettingsError: The text is malformed, or one of the parts is empty.
        """
        # the text itself may be a secret, so no message shows it
        layer: Any = documents.parse_yaml(text, f"The value of {source}", "Quote it.")
        for part in reversed(parts):
            if not part:
                raise SettingsError(f"The {source} has an empty level; allowed: names separated by '__' or '.'.")
            layer = {part: layer}
        self.add(layer, source)

    def _merge(self, node: dict[str, Any], layer: Mapping[str, Any], prefix: str, source: str) -> None:
        for name, value in layer.items():
            if not isinstance(name, str):
                raise SettingsError(f"{source} has the key {name!r} under {prefix or 'the top'}; keys must be texts.")
            key = f"{prefix}{name}"
            former = node.get(name)
            if not isinstance(value, Mapping):
                node[name] = value
                self.origins[key] = Value(value, source, self._forget(key, former))
                continue
            child = node[name] = former if isinstance(former, dict) else {}
            if value or not child:
                overridden = self._forget(key) if not child else ()
                if not value:
                    self.origins[key] = Value({}, source, overridden)
            self._merge(child, value, f"{key}.", source)

    def _forget(self, key: str, former: Any = None) -> tuple[tuple[Any, str], ...]:
        """Drop what is known of a key and of all below it; return what a new value overrides."""
        below = [name for name in self.origins if name.startswith(f"{key}.")]
        sources = dict.fromkeys(self.origins.pop(name).source for name in below)
        if sources:
            return ((former, ", ".join(sources)),)
        last = self.origins.pop(key, None)
        return ((last.value, last.source), *last.overridden) if last else ()
