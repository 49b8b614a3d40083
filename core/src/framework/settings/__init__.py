"""Configuration: a file, then the environment, then flags, into one tree that remembers where each value came from.

    framework.yaml or framework.toml     the file named by --config or FRAMEWORK_CONFIG, else the one in this directory
    FRAMEWORK__PLUGINS__FILE__ROOTS      environment; `__` separates the levels, the value is read as YAML
    --set plugins.file.roots=[/data]     flags; `.` separates the levels, the value is read as YAML

`plugins:` maps a plugin's name to its settings. Presence enables it, `enabled: false` disables it; without the section
the first-party set is enabled. What a plugin's section may hold is its own settings model's business; everything else
is checked here. Unknown keys are errors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from framework import documents
from framework.errors import SettingsError, did_you_mean
from framework.frozen import Frozen, replace
from framework.settings.keys import KEYS, RESERVED, check
from framework.settings.layers import Layers, Value
from framework.settings.sections import masked, validated

__all__ = [
    "CONFIG_VARIABLE",
    "FILE_NAMES",
    "KEYS",
    "PREFIX",
    "RESERVED",
    "Settings",
    "Value",
    "find",
    "masked",
    "validated",
]

CONFIG_VARIABLE = "FRAMEWORK_CONFIG"
PREFIX = "FRAMEWORK__"
CHANGEABLE = "resource_management"
"""The section whose settings are read whenever they are needed, so that a running program can change them."""
FILE_NAMES = ("framework.yaml", "framework.yml", "framework.toml")


class Settings(Frozen):
    """The merged configuration; every leaf knows its source."""

    tree: Mapping[str, Any] = {}
    origins: Mapping[str, Value] = {}
    base: str = ""
    """Directory of the configuration file, empty without one."""
    listed: bool = False
    """Whether the file, or the mapping, has a section `plugins`, which then is the whole list of the enabled ones."""

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        *,
        flags: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Return the settings from a file or a mapping, the environment and flags of the form `key=value`.

        Args:
            source: A path, a mapping used as it is, or None to look for a file.
            flags: `a.b=value` strings, the strongest layer.
            environ: The environment; `os.environ` when none is given.

        Raises:
            SettingsError: Something cannot be read or is not allowed, naming the source, the key and what is.
        """
        environ = os.environ if environ is None else environ
        layers = Layers()
        base = ""
        if isinstance(source, Mapping):
            layers.add(source, "mapping")
        elif path := find(environ) if source is None else os.fspath(source):
            layers.add(documents.read(path), path)
            base = os.path.dirname(os.path.abspath(path))
        elif source is not None:
            raise SettingsError("The path of the configuration is empty.", "Name a file, or leave it out.")
        listed = "plugins" in layers.tree
        for name in sorted(environ):
            if name.startswith(PREFIX):
                layers.set(name.removeprefix(PREFIX).lower().split("__"), environ[name], f"environment {name}")
        for flag in flags:
            key, equals, text = flag.partition("=")
            if not equals or not key:
                raise SettingsError(f"The flag --set {flag!r} is malformed; allowed: --set key.sub=value.")
            layers.set(key.split("."), text, f"flag --set {key}")
        check(layers.tree, layers.origins)
        return cls(layers.tree, layers.origins, base, listed)

    def get(self, key: str) -> Any:
        """Return the value of a key of the kernel, or its default."""
        node: Any = self.tree
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return KEYS[key].default
            node = node[part]
        return node

    @property
    def plugins(self) -> Mapping[str, Mapping[str, Any]] | None:
        """The sections of the enabled and disabled plugins, or None when there is no such section."""
        section = self.tree.get("plugins")
        return None if section is None else {name: values or {} for name, values in section.items()}

    @property
    def plugin_folders(self) -> list[str]:
        """The plugin folders as absolute paths."""
        return [os.path.abspath(os.path.join(self.base, folder)) for folder in self.get("plugin_folders")]

    def enabled(self, first_party: Iterable[str]) -> set[str]:
        """Return the names of the plugins that are to be started, whether or not they are installed.

        A section that comes only from the environment or from flags adjusts the first-party set, not replaces it.
        """
        named = self.plugins or {}
        own = set(first_party)
        chosen = {name for name, values in named.items() if values.get("enabled", True)}
        wanted = chosen if self.listed else (own - named.keys()) | chosen
        return wanted & own if self.get("safe_mode") else wanted

    def required(self) -> list[str]:
        """Return the names of the enabled plugins that the program must not start without, sorted."""
        return sorted(name for name in self.plugins or {} if self.is_required(name))

    def is_required(self, name: str) -> bool:
        """Return whether the program must not start without a plugin."""
        values = (self.plugins or {}).get(name, {})
        return bool(values.get("required", False) and values.get("enabled", True))

    def activation(self, name: str, declared: str) -> str:
        """Return when a plugin is started: `startup` or `use`, as the configuration says, else as declared."""
        chosen: str = (self.plugins or {}).get(name, {}).get("activation", declared)
        return chosen

    def with_enabled(self, name: str, *, enabled: bool) -> Settings:
        """Return the settings with one plugin enabled or disabled."""
        sections = dict(self.plugins or {})
        sections[name] = {**sections.get(name, {}), "enabled": enabled}
        return replace(self, tree={**self.tree, "plugins": sections})

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return the settings with new values for keys of the section that may change while the program runs.

        Args:
            changes: Values by full key.

        Raises:
            SettingsError: A key is not of that section, or a value is not allowed.
        """
        layers = Layers()
        layers.add(self.tree, "")
        layers.origins = dict(self.origins)
        for key, value in changes.items():
            if not key.startswith(f"{CHANGEABLE}."):
                raise SettingsError(
                    f"The setting {key!r} cannot be changed while the program runs; keys of {CHANGEABLE!r} can."
                )
            layer: Any = value
            for part in reversed(key.split(".")):
                layer = {part: layer}
            layers.add(layer, "program")
        check(layers.tree, layers.origins)
        return replace(self, tree=layers.tree, origins=layers.origins)

    def section(self, name: str) -> dict[str, Any]:
        """Return what the configuration says to a plugin, without what it says of it to the kernel."""
        values = (self.plugins or {}).get(name, {})
        return {key: value for key, value in values.items() if key not in RESERVED}

    def explain(self, key: str) -> Value:
        """Return a value with its source and what it overrode.

        Raises:
            SettingsError: Nothing sets the key, and the kernel has no default for it.
        """
        if key in self.origins:
            return self.origins[key]
        below = [value.source for name, value in self.origins.items() if name.startswith(f"{key}.")]
        if below:
            value: Any = self.tree
            for part in key.split("."):
                value = value[part]
            return Value(value, ", ".join(dict.fromkeys(below)))
        if key in KEYS:
            return Value(KEYS[key].default, "default")
        raise SettingsError(
            f"No layer sets {key!r}, and it is no key of the kernel.", did_you_mean(key, [*self.origins, *KEYS])
        )


def find(environ: Mapping[str, str] | None = None) -> str:
    """Return the path of the configuration file where none is named by a flag, or nothing if there is none."""
    named = (os.environ if environ is None else environ).get(CONFIG_VARIABLE, "")
    return named or next((name for name in FILE_NAMES if os.path.isfile(name)), "")
