"""Every key of the kernel, and the check that a merged configuration holds no others and only what they allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from framework.errors import SettingsError, did_you_mean
from framework.frozen import Frozen
from framework.settings.layers import Value

LEVELS = ("debug", "info", "warning", "error")
STYLES = ("console", "json")
JOURNALS = ("auto", "required", "none")
PERCENT = "a number above 0, at most 100"
WORKERS = "auto or a whole number above 0"

_WORKERS_SCHEMA = {"anyOf": [{"enum": ["auto"]}, {"type": "integer", "exclusiveMinimum": 0}]}


class Key(Frozen):
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
    "timeouts.drain": Key(
        "Seconds that giving everything back may take after SIGTERM or SIGHUP, and when the interpreter ends.",
        5.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "leases.journal": Key(
        "Whether to keep a crash-proof record of what is held: where it can be kept, always, or never.",
        "auto",
        ", ".join(JOURNALS),
        {"enum": list(JOURNALS)},
    ),
    "leases.reclaim": Key(
        "Whether to give back what processes of this user left when they died, at the start and from time to time.",
        default=True,
        allowed="true or false",
        schema={"type": "boolean"},
    ),
    "leases.reclaim_interval": Key(
        "Seconds between two looks for processes that died.",
        60.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "leases.signals": Key(
        "Whether to give everything back on SIGTERM and SIGHUP, where the program does not handle them itself.",
        default=True,
        allowed="true or false",
        schema={"type": "boolean"},
    ),
    "quotas": Key(
        "How much may be held at once: below `kinds` for all leases of matching kinds together, below `owners` for each"
        " matching owner by itself; `count` in leases, `bytes` in bytes. Names may be patterns such as `memory.*`.",
        None,
        "kinds and owners, below each a name with count, bytes or both",
        {"type": "object"},
    ),
    "resource_management.monitoring_enabled": Key(
        "Whether measurements are refreshed from time to time, and memory is watched.",
        default=True,
        allowed="true or false",
        schema={"type": "boolean"},
    ),
    "resource_management.monitoring_interval": Key(
        "Seconds between two refreshes of the measurements: 15 to 30 react soon, 60 to 120 cost less.",
        30.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "resource_management.warning_threshold_memory": Key(
        "Percent of the memory that this process may use from which a normal cleanup is asked for; raise it where"
        " useful caches are lost.",
        75.0,
        PERCENT,
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    ),
    "resource_management.aggressive_threshold_memory": Key(
        "Percent of the memory that this process may use from which an aggressive cleanup is asked for; lower it where"
        " memory runs out.",
        85.0,
        PERCENT,
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    ),
    "resource_management.warning_threshold_cpu": Key(
        "Percent of the processors that this process may use from which a warning is logged.",
        80.0,
        PERCENT,
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    ),
    "resource_management.source_timeout": Key(
        "Seconds that a collector or another source of measurements may take.",
        1.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "resource_management.participant_timeout": Key(
        "Seconds that each participant of a cleanup may take.",
        5.0,
        "a number of seconds above 0",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "resource_management.concurrency.default_cpu_workers": Key(
        "Processes for work that computes; auto finds the number that does most.", "auto", WORKERS, _WORKERS_SCHEMA
    ),
    "resource_management.concurrency.default_io_workers": Key(
        "Threads for work that waits; auto finds the number that does most.", "auto", WORKERS, _WORKERS_SCHEMA
    ),
    "resource_management.concurrency.max_total_workers": Key(
        "Most workers of both sorts together; null for no limit. For machines with little of everything.",
        None,
        "null or a whole number above 0",
        {"anyOf": [{"type": "null"}, {"type": "integer", "exclusiveMinimum": 0}]},
    ),
    "safe_mode": Key(
        "Start plugins of the first-party set only, whatever else is enabled.",
        default=False,
        allowed="true or false",
        schema={"type": "boolean"},
    ),
    "locked": Key(
        "Start only plugins that are as framework.lock says.",
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

_SECTIONS = {key.rpartition(".")[0] for key in KEYS if "." in key}


def check(tree: Mapping[str, Any], origins: Mapping[str, Value]) -> None:
    """Raise unless the tree holds what the keys allow.

    Raises:
        SettingsError: Naming the source, the key, what was found and what is allowed.
    """
    tops = {key.partition(".")[0] for key in KEYS}
    for name, value in tree.items():
        if name not in tops:
            raise _unknown(name, tops, origins)
        if name in _SECTIONS:
            _check_section(name, value, origins)
        elif KEYS[name].schema["type"] == "boolean" and not isinstance(value, bool):
            raise _wrong(name, value, KEYS[name].allowed, origins)
    _check_thresholds(tree.get("resource_management", {}), origins)
    _check_quotas(tree.get("quotas"), origins)
    _check_plugins(tree.get("plugins"), "plugins" in tree, origins)
    folders = tree.get("plugin_folders", [])
    if not isinstance(folders, list) or not all(isinstance(one, str) and one for one in folders):
        raise _wrong("plugin_folders", folders, KEYS["plugin_folders"].allowed, origins)


def _check_section(name: str, value: Any, origins: Mapping[str, Value]) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "a mapping", origins)
    allowed = {".".join(key.split(".")[: name.count(".") + 2]) for key in KEYS if key.startswith(f"{name}.")}
    for sub in value:
        key = f"{name}.{sub}"
        if key not in allowed:
            raise _unknown(key, allowed, origins)
        if key in _SECTIONS:
            _check_section(key, value[sub], origins)
        elif not _allows(KEYS[key].schema, value[sub]):
            raise _wrong(key, value[sub], KEYS[key].allowed, origins)


def _check_thresholds(section: Mapping[str, Any], origins: Mapping[str, Value]) -> None:
    """Refuse an aggressive cleanup that would begin before the normal one."""
    lower, upper = (f"resource_management.{one}_threshold_memory" for one in ("warning", "aggressive"))
    least, most = (section.get(key.rpartition(".")[2], KEYS[key].default) for key in (lower, upper))
    if least >= most:
        raise _wrong(lower, least, f"less than {upper}, which is {most:g}", origins)


def _check_quotas(section: Any, origins: Mapping[str, Value]) -> None:
    if section is None:
        return
    _check_mapping("quotas", section, ("kinds", "owners"), origins)
    for axis, patterns in section.items():
        key = f"quotas.{axis}"
        if not isinstance(patterns, Mapping):
            raise _wrong(key, patterns, "a mapping of names or patterns", origins)
        for pattern, bounds in patterns.items():
            _check_mapping(f"{key}.{pattern}", bounds, ("count", "bytes"), origins)
            for name, bound in bounds.items():
                if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
                    raise _wrong(f"{key}.{pattern}.{name}", bound, "a whole number, 0 or more", origins)


def _check_mapping(key: str, value: Any, allowed: tuple[str, ...], origins: Mapping[str, Value]) -> None:
    if not isinstance(value, Mapping) or not value:
        raise _wrong(key, value, f"a mapping of {' and '.join(allowed)}", origins)
    for name in value:
        if name not in allowed:
            raise _unknown(f"{key}.{name}", [f"{key}.{one}" for one in allowed], origins)


def _allows(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value fits the few words of JSON schema that the kernel's own keys use."""
    if "anyOf" in schema:
        return any(_allows(one, value) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if schema["type"] == "null":
        return value is None
    if isinstance(value, bool) or schema["type"] == "boolean":
        return isinstance(value, bool) and schema["type"] == "boolean"
    numbers = int if schema["type"] == "integer" else (int, float)
    return isinstance(value, numbers) and schema["exclusiveMinimum"] < value <= schema.get("maximum", value)


def _check_plugins(section: Any, present: bool, origins: Mapping[str, Value]) -> None:
    if not present:
        return
    if not isinstance(section, Mapping):
        raise _wrong("plugins", section, KEYS["plugins"].allowed, origins)
    for name, values in section.items():
        if values is not None and not isinstance(values, Mapping):
            # the value itself is not shown: what was meant for the plugin may be a secret
            what = f"a {type(values).__name__}"
            raise _wrong(f"plugins.{name}", what, "a mapping of the plugin's settings, or nothing", origins)
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
