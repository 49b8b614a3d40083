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
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from framework import documents
from framework.errors import PluginError, SettingsError, did_you_mean

CONFIG_VARIABLE = "FRAMEWORK_CONFIG"
PREFIX = "FRAMEWORK__"
FILE_NAMES = ("framework.yaml", "framework.yml", "framework.toml")
LEVELS = ("debug", "info", "warning", "error")
STYLES = ("console", "json")


@dataclass(frozen=True, slots=True)
class Key:
    """One setting of the kernel: its meaning, default, and what is allowed."""

    doc: str
    default: Any
    allowed: str
    schema: Mapping[str, Any]


KEYS: dict[str, Key] = {
    "plugins": Key(
        "Settings of each enabled plugin by name; `enabled: false` disables one.",
        None,
        "a mapping of plugin names to their settings",
        {"type": "object"},
    ),
    "plugin_folders": Key(
        "Folders whose modules named plugin_* are plugins too; relative to the file that says so.",
        [],
        "a list of paths",
        {"type": "array", "items": {"type": "string"}},
    ),
    "logging.level": Key(
        "Least severe event that the command line shows.", "warning", ", ".join(LEVELS), {"enum": list(LEVELS)}
    ),
    "logging.style": Key(
        "How events are written: for people, or one JSON object a line.",
        "console",
        ", ".join(STYLES),
        {"enum": list(STYLES)},
    ),
    "timeouts.start": Key(
        "Seconds that each phase of a plugin's start may take.",
        30.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "timeouts.stop": Key(
        "Seconds that a plugin's clean-up may take.",
        30.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "safe_mode": Key(
        "Start plugins of the first-party set only, whatever else is enabled.",
        default=False,
        allowed="true or false",
        schema={"type": "boolean"},
    ),
}

RESERVED: dict[str, tuple[str, Mapping[str, Any]]] = {
    "enabled": ("Whether the plugin is enabled.", {"type": "boolean", "default": True}),
    "required": ("Whether the program must not start without it.", {"type": "boolean", "default": False}),
    "activation": ("When it is started, instead of what its manifest says.", {"enum": ["startup", "use"]}),
}
"""Keys of a plugin's section that are the kernel's, with meaning and schema."""

_SECRET = re.compile(r"(?i)passw|secret|token|credential|api_?key")
_SECTIONS = {key.partition(".")[0] for key in KEYS if "." in key}


@dataclass(frozen=True, slots=True)
class Value:
    """One value with where it came from, and the values that it overrode, nearest first."""

    value: Any
    source: str
    overridden: tuple[tuple[Any, str], ...] = ()


@dataclass(frozen=True)
class Settings:
    """The merged configuration; every leaf knows its source."""

    tree: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Value] = field(default_factory=dict)
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
        builder = _Builder()
        base = ""
        if isinstance(source, Mapping):
            builder.add(source, "mapping")
        elif path := find(environ) if source is None else os.fspath(source):
            builder.add(documents.read(path), path)
            base = os.path.dirname(os.path.abspath(path))
        elif source is not None:
            raise SettingsError("The path of the configuration is empty.", "Name a file, or leave it out.")
        listed = "plugins" in builder.tree
        for name in sorted(environ):
            if name.startswith(PREFIX):
                builder.set(name.removeprefix(PREFIX).lower().split("__"), environ[name], f"environment {name}")
        for flag in flags:
            key, equals, text = flag.partition("=")
            if not equals or not key:
                raise SettingsError(f"The flag --set {flag!r} is malformed; allowed: --set key.sub=value.")
            builder.set(key.split("."), text, f"flag --set {key}")
        _check(builder.tree, builder.origins)
        return cls(builder.tree, builder.origins, base, listed)

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


class _Builder:
    """Merges layers, weakest first."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[str, Value] = {}

    def add(self, layer: Mapping[str, Any], source: str) -> None:
        documents.refuse_endless(layer, source)
        self._merge(self.tree, layer, "", source)

    def set(self, parts: list[str], text: str, source: str) -> None:
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


def find(environ: Mapping[str, str] | None = None) -> str:
    """Return the path of the configuration file where none is named by a flag, or nothing if there is none."""
    named = (os.environ if environ is None else environ).get(CONFIG_VARIABLE, "")
    return named or next((name for name in FILE_NAMES if os.path.isfile(name)), "")


def _check(tree: Mapping[str, Any], origins: Mapping[str, Value]) -> None:
    tops = {key.partition(".")[0] for key in KEYS}
    for name, value in tree.items():
        if name not in tops:
            raise _unknown(name, tops, origins)
        if name in _SECTIONS:
            if not isinstance(value, Mapping):
                raise _wrong(name, value, "a mapping", origins)
            allowed = {key.partition(".")[2] for key in KEYS if key.startswith(f"{name}.")}
            for sub in value:
                if sub not in allowed:
                    raise _unknown(f"{name}.{sub}", {f"{name}.{one}" for one in allowed}, origins)
                key = f"{name}.{sub}"
                if not _allows(KEYS[key].schema, value[sub]):
                    raise _wrong(key, value[sub], KEYS[key].allowed, origins)
    if not isinstance(tree.get("safe_mode", False), bool):
        raise _wrong("safe_mode", tree["safe_mode"], KEYS["safe_mode"].allowed, origins)
    _check_plugins(tree.get("plugins"), "plugins" in tree, origins)
    folders = tree.get("plugin_folders", [])
    if not isinstance(folders, list) or not all(isinstance(one, str) and one for one in folders):
        raise _wrong("plugin_folders", folders, KEYS["plugin_folders"].allowed, origins)


def _allows(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value fits the few words of JSON schema that the kernel's own keys use."""
    if "enum" in schema:
        return value in schema["enum"]
    if schema["type"] == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool) and value > schema["exclusiveMinimum"]


def _check_plugins(section: Any, present: bool, origins: Mapping[str, Value]) -> None:
    if not present:
        return
    if not isinstance(section, Mapping):
        raise _wrong("plugins", section, KEYS["plugins"].allowed, origins)
    for name, values in section.items():
        if values is not None and not isinstance(values, Mapping):
            raise _wrong(f"plugins.{name}", values, "a mapping of the plugin's settings, or nothing", origins)
        for key, value in (values or {}).items():
            schema = RESERVED[key][1] if key in RESERVED else None
            if schema is not None and not _allows(schema, value):
                allowed = " or ".join(schema.get("enum", ("true", "false")))
                raise _wrong(f"plugins.{name}.{key}", value, allowed, origins)


def _source(key: str, origins: Mapping[str, Value]) -> str:
    found = [value.source for name, value in origins.items() if name == key or name.startswith(f"{key}.")]
    return found[0] if found else "The configuration"


def _unknown(key: str, known: Iterable[str], origins: Mapping[str, Value]) -> SettingsError:
    allowed = sorted(known)
    return SettingsError(
        f"{_source(key, origins)} has the unknown key {key!r}; allowed: {', '.join(allowed)}.",
        did_you_mean(key, allowed),
    )


def _wrong(key: str, value: Any, allowed: str, origins: Mapping[str, Value]) -> SettingsError:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."
    return SettingsError(f"{_source(key, origins)} says {key} = {shown}; allowed: {allowed}.")


def validated(section: Mapping[str, Any], model: Any, name: str) -> Any:
    """Return a plugin's section as an instance of its settings model.

    Raises:
        SettingsError: Naming every key that is wrong, what was found and what is allowed.
        PluginError: The model itself is broken.
    """
    from pydantic import BaseModel, ValidationError

    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginError(f"The settings of plugin {name!r} are {model!r}; expected a pydantic model.", plugin=name)
    try:
        return model.model_validate(dict(section))
    except ValidationError as error:
        faults = [_spelled(fault, name, model) for fault in error.errors()]
        raise SettingsError(" ".join(faults), plugin=name) from error
    except Exception as error:
        text = f"The settings model of plugin {name!r} failed: {type(error).__name__}: {error}."
        raise PluginError(text, "Report this to the plugin's author.", plugin=name) from error


def _spelled(fault: Any, name: str, model: Any) -> str:
    key = ".".join(["plugins", name, *map(str, fault["loc"])])
    fields = _fields(model, fault["loc"][:-1])
    if fault["type"] == "extra_forbidden":
        hint = did_you_mean(str(fault["loc"][-1]), fields)
        allowed = ", ".join(sorted(fields)) or "none"
        return f"The configuration has the unknown key {key!r}; allowed: {allowed}. {hint}".rstrip()
    message = fault["msg"].rstrip(".")
    if fault["type"] == "missing":
        return f"The configuration lacks the key {key!r}: {message}."
    field = fields.get(fault["loc"][-1]) if fault["loc"] else None
    secret = "Secret" in repr(field) or _SECRET.search(key)
    if secret or not isinstance(fault["input"], str | int | float | None):
        return f"The configuration is wrong at {key}: {message}."  # what it says may be, or hold, a secret
    return f"The configuration says {key} = {fault['input']!r}: {message}."


def _fields(model: Any, way: Iterable[Any]) -> Mapping[str, Any]:
    """Return the fields of the model at the end of a way of keys and indexes, or nothing where it is not clear."""
    fields: Mapping[str, Any] = model.model_fields
    for step in way:
        if isinstance(step, str):
            annotation = fields[step].annotation if step in fields else None
            found = [one for one in (annotation, *typing.get_args(annotation)) if hasattr(one, "model_fields")]
            fields = found[0].model_fields if len(found) == 1 else {}
    return fields
