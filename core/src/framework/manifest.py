"""`Manifest`: what a plugin package says of itself in `plugin.toml`, read without importing the package.

The file's format is this table; unknown keys are refused with the nearest known one.

    schema = 1                                  # version of this format
    api = 1                                     # plugin interface it was written for
    name = "memory"                             # = entry point = section under `plugins:`
    type = "provider"                           # provider, processor, storage or monitor
    requires = ["file", "executor.thread>=0.1"] # plugins or capabilities that must be active first
    after = ["survey"]                          # start later than these, if they are enabled at all
    settings = "plugin_memory.settings:Model"   # pydantic model of the plugin's section
    description, version, author                # default to the distribution's

    [provides]                                  # what it contributes, so that nothing is imported to find out
    kinds = ["memory.shared"]; commands = ["survey"]; services = []; strategies = []

    [[permissions]]                             # what it does to the machine, and why
    name = "shared-memory"
    reason = "creates segments in /dev/shm"
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from framework.errors import ManifestError, did_you_mean
from framework.records import PLUGIN_API, PluginMetadata, PluginType

FILE_NAME = "plugin.toml"
SCHEMA = 1
SIZE_LIMIT = 1 << 20
"""Most bytes of a manifest that are read; a larger file is not one."""

_LISTS = ("requires", "after")
_TEXTS = ("name", "type", "settings", "description", "version", "author")
_KEYS = ("schema", "api", "provides", "permissions", *_LISTS, *_TEXTS)
_PROVIDES = ("kinds", "commands", "services", "strategies")
_OBJECT = re.compile(r"[\w.]+:\w+")


@dataclass(frozen=True, slots=True)
class Permission:
    """Something a plugin does to the machine, with the reason it gives. Declared, not enforced."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One plugin as it is installed. Where a package has no `plugin.toml`, `type` is empty until it is loaded."""

    name: str
    entry_point: str
    type: str = ""
    version: str = ""
    description: str = ""
    author: str = ""
    distribution: str = ""
    api: int = PLUGIN_API
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    settings: str = ""
    permissions: tuple[Permission, ...] = ()
    path: str = ""
    """The `plugin.toml`, or empty."""
    location: str = ""
    """File of the module, for plugins found in a folder that is not on the import path."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Everything that others can require, sorted."""
        return tuple(sorted(item for items in self.provides.values() for item in items))

    def metadata(self) -> PluginMetadata:
        """Return the manifest as the metadata of a plugin object."""
        return PluginMetadata(
            self.name,
            self.version,
            self.description,
            self.author,
            list(self.requires),
            PluginType(self.type),
            self.entry_point.replace(":", "."),
        )


def read(path: str) -> dict[str, Any]:
    """Return the checked content of a `plugin.toml`.

    Raises:
        ManifestError: It cannot be read, is not UTF-8 or TOML, or does not follow the format.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror}") from error
    return parse(raw, path)


def parse(raw: bytes, path: str) -> dict[str, Any]:
    """Return the checked content of a `plugin.toml` that was read from `path`.

    Raises:
        ManifestError: It is too large, is not UTF-8 or TOML, or does not follow the format.
    """
    import tomllib  # 15 ms; a plugin-free `--version` must not pay it

    if len(raw) > SIZE_LIMIT:
        raise _fault(path, f"is larger than {SIZE_LIMIT} bytes", "A manifest holds a few lines; move data elsewhere.")
    try:
        content = tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise _fault(path, f"is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}") from error
    except (ValueError, RecursionError) as error:  # more than TOMLDecodeError: giant numbers, endless brackets
        raise _fault(path, f"is not TOML: {error}") from error
    check(content, path)
    return content


def build(content: Mapping[str, Any], *, path: str, **installed: str) -> Manifest:
    """Return the manifest for checked content; `installed` fills what the file leaves to the distribution."""
    texts = installed | {key: content[key] for key in _TEXTS if key in content}
    return replace(
        Manifest(**texts),
        api=content["api"],
        provides={key: tuple(values) for key, values in content.get("provides", {}).items()},
        requires=tuple(content.get("requires", ())),
        after=tuple(content.get("after", ())),
        permissions=tuple(Permission(one["name"], one["reason"]) for one in content.get("permissions", ())),
        path=path,
    )


def check(content: Mapping[str, Any], path: str) -> None:
    """Raise unless the content follows the format.

    Raises:
        ManifestError: Naming the file, the key, what was found and what is allowed.
    """
    _known(content, _KEYS, path)
    for key in ("schema", "api", "name", "type"):
        if key not in content:
            raise _fault(path, f"lacks the key {key!r}", "See the reference page on plugin.toml.")
    for key, current in (("schema", SCHEMA), ("api", PLUGIN_API)):
        if type(content[key]) is not int or content[key] != current:
            what = f"says {key} = {_shown(content[key])}; this framework understands {current}"
            raise _fault(path, what, "Install versions of the plugin and of the framework that go together.")
    for key in _TEXTS:
        if key in content and (not isinstance(content[key], str) or not content[key].strip()):
            raise _fault(path, f"says {key} = {_shown(content[key])}; allowed: a text that is not empty")
    types = [one.value for one in PluginType]
    if content["type"] not in types:
        raise _fault(path, f"says type = {_shown(content['type'])}; allowed: {', '.join(types)}")
    if not _OBJECT.fullmatch(content.get("settings", "module:object")):
        raise _fault(path, f"says settings = {_shown(content['settings'])}; allowed: module:object")
    for key in _LISTS:
        _texts(content.get(key, []), key, path)
    _check_tables(content, path)


def _check_tables(content: Mapping[str, Any], path: str) -> None:
    provides = content.get("provides", {})
    if not isinstance(provides, dict):
        raise _fault(path, f"says provides = {_shown(provides)}; allowed: a table of lists")
    _known(provides, _PROVIDES, path)
    for key, values in provides.items():
        _texts(values, f"provides.{key}", path)
    permissions = content.get("permissions", [])
    if not isinstance(permissions, list) or not all(
        isinstance(one, dict) and one.keys() == {"name", "reason"} and all(isinstance(v, str) for v in one.values())
        for one in permissions
    ):
        raise _fault(path, "has permissions that are not [[permissions]] tables with exactly a name and a reason")


def _known(content: Mapping[str, Any], keys: Collection[str], path: str) -> None:
    for key in content:
        if key not in keys:
            raise _fault(path, f"has the unknown key {key!r}; allowed: {', '.join(keys)}", did_you_mean(key, keys))


def _texts(values: object, key: str, path: str) -> None:
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        raise _fault(path, f"says {key} = {_shown(values)}; allowed: a list of texts")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # what lies in a package may be a pipe that nobody ever writes to


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fault(path: str, what: str, remedy: str = "Correct the file, or uninstall the package.") -> ManifestError:
    package = os.path.basename(os.path.dirname(path))
    return ManifestError(f"The manifest {path} {what}.", remedy, plugin=package)
