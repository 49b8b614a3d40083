"""The format of `plugin.toml` as one table: what checks a manifest, and what its JSON schema is made from.

`docs/reference/plugin.schema.json` is the published schema; a test holds it equal to `json_schema()`. What a schema
cannot say is checked here only: version ranges that cannot be parsed, and keys that contradict each other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from framework import PLUGIN_API
from framework.errors import ManifestError, did_you_mean
from framework.records import PluginType

SCHEMA = 1
STARTUP = "startup"
USE = "use"

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
_REQUIREMENT = rf"{_NAME}\s*([<>=!~][^/\\]*)?"
_OBJECT = r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*"
_SENTENCE = r"[\s\S]*\S[\s\S]*"


class Key(NamedTuple):
    """One key of the format: what its value may be, in words, as a JSON schema and as a check."""

    doc: str
    allowed: str
    schema: Mapping[str, Any]
    fits: Callable[[Any], bool]


def _text(doc: str, pattern: str = _SENTENCE, allowed: str = "a text that is not empty") -> Key:
    return Key(doc, allowed, {"type": "string", "pattern": f"^{pattern}$"}, lambda found: _matches(found, pattern))


def _choice(doc: str, *values: str) -> Key:
    return Key(doc, ", ".join(values), {"enum": list(values)}, lambda found: isinstance(found, str) and found in values)


def _texts(doc: str, pattern: str, allowed: str) -> Key:
    items = {"type": "string", "pattern": f"^{pattern}$"}

    def fits(found: Any) -> bool:
        return isinstance(found, list) and all(_matches(one, pattern) for one in found)

    return Key(doc, allowed, {"type": "array", "uniqueItems": True, "items": items}, fits)


def _matches(found: Any, pattern: str) -> bool:
    return isinstance(found, str) and re.fullmatch(pattern, found) is not None


def _names(doc: str) -> Key:
    return _texts(doc, _NAME, "a list of texts, each a name of letters, digits, '_', '.' and '-'")


def _requirements(doc: str) -> Key:
    return _texts(doc, _REQUIREMENT, "a list of texts, each a name with an optional range such as 'file>=0.1,<1'")


def _is_number(found: Any) -> bool:
    return type(found) is int  # in Python, not in TOML, `true` is one too


KEYS: dict[str, Key] = {
    "schema": Key("Version of this format.", str(SCHEMA), {"const": SCHEMA}, _is_number),
    "api": Key(
        "Version of the plugin interface that the plugin was written for, or a range of versions.",
        "a number, or a text with a range of numbers such as '>=1,<3'",
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\s*[<>=!~].*$"}]},
        lambda found: _is_number(found) or _matches(found, r"\s*[<>=!~].*"),
    ),
    "name": _text(
        "Name of the plugin, of its entry point and of its section under `plugins:`.",
        _NAME,
        "a text that is not empty, of at most 100 letters, digits, '_', '.' and '-', a letter or digit first",
    ),
    "type": _choice("What the plugin is for.", *(one.value for one in PluginType)),
    "requires": _requirements("Plugins or capabilities that must be active first."),
    "optional": _requirements("Plugins or capabilities that are started first where they are there and fit."),
    "after": _names("Plugins that start earlier, if they are enabled at all."),
    "before": _names("Plugins that start later, if they are enabled at all."),
    "conflicts": _names("Plugins or capabilities that must not be enabled together with this plugin."),
    "activation": _choice("When the plugin is imported and started.", STARTUP, USE),
    "stability": _choice("What users may rely on.", "experimental", "beta", "stable", "deprecated"),
    "settings": _text("The pydantic model of the plugin's section.", _OBJECT, "module:object"),
    "description": _text("One sentence for lists."),
    "version": _text("Version of the plugin."),
    "author": _text("Who wrote it."),
}

PROVIDES: dict[str, Key] = {
    "kinds": _names("Kinds of resources that can be acquired."),
    "commands": _names("Commands of the `framework` program."),
    "services": _names("Objects that are fetched by name."),
    "strategies": _names("Allocation strategies."),
}

PERMISSION: dict[str, Key] = {
    "name": _text("What the plugin does to the machine."),
    "reason": _text("Why it does so."),
}

REQUIRED = ("schema", "api", "name", "type")
TABLES = ("provides", "permissions")
LISTS = tuple(key for key, one in KEYS.items() if one.schema.get("type") == "array")


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `plugin.toml`, for editors and validators."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "plugin.toml",
        "description": "What a plugin package says of itself.",
        **_table({**KEYS}, REQUIRED),
        "properties": {
            **_properties(KEYS),
            "provides": {"description": "What the plugin contributes.", **_table(PROVIDES, ())},
            "permissions": {
                "description": "What the plugin does to the machine, and why; declared, not enforced.",
                "type": "array",
                "items": _table(PERMISSION, tuple(PERMISSION)),
            },
        },
    }


def check(content: Mapping[str, Any], path: str) -> None:
    """Raise unless the content follows the format.

    Raises:
        ManifestError: Naming the file, the key, what was found and what is allowed.
    """
    known(content, (*KEYS, *TABLES), path)
    for key in REQUIRED:
        if key not in content:
            raise fault(path, f"lacks the key {key!r}", "See the reference page on plugin.toml.")
    if not _is_number(content["schema"]) or content["schema"] != SCHEMA:
        raise _other_version(path, "schema", content["schema"], SCHEMA)
    _check_values(content, KEYS, "", path)
    _check_api(content["api"], path)
    _check_tables(content, path)
    _check_contradictions(content, path)


def known(content: Mapping[str, Any], keys: Collection[str], path: str) -> None:
    """Raise where a table has a key that the format does not have.

    Raises:
        ManifestError: Naming the key and the nearest known one.
    """
    for key in content:
        if key not in keys:
            raise fault(path, f"has the unknown key {shown(key)}; allowed: {', '.join(keys)}", did_you_mean(key, keys))


def wrong_name(name: str) -> str:
    """Return what is wrong with the name of a plugin that has no manifest to say it, or nothing."""
    return "" if KEYS["name"].fits(name) else f"A plugin is called {shown(name)}; allowed: {KEYS['name'].allowed}."


def shown(value: object) -> str:
    """Return a value as it is quoted in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def fault(path: str, what: str, remedy: str = "Correct the file, or uninstall the package.") -> ManifestError:
    """Return the error for a manifest that cannot be used."""
    package = os.path.basename(os.path.dirname(path))
    return ManifestError(f"The manifest {path} {what}.", remedy, plugin=package)


def _properties(keys: Mapping[str, Key]) -> dict[str, Any]:
    return {key: {"description": one.doc, **one.schema} for key, one in keys.items()}


def _table(keys: Mapping[str, Key], required: Collection[str]) -> dict[str, Any]:
    shape = {"type": "object", "additionalProperties": False, "properties": _properties(keys)}
    return shape | ({"required": list(required)} if required else {})


def _check_values(content: Mapping[str, Any], keys: Mapping[str, Key], prefix: str, path: str) -> None:
    for key, value in content.items():
        if key not in keys:
            continue
        one = keys[key]
        if not one.fits(value):
            raise fault(path, f"says {prefix}{key} = {shown(value)}; allowed: {one.allowed}")
        if isinstance(value, list) and len(set(value)) < len(value):
            twice = next(item for item in value if value.count(item) > 1)
            raise fault(path, f"says {prefix}{key} = {shown(value)}, which names {twice!r} more than once")


def _check_api(value: int | str, path: str) -> None:
    if isinstance(value, str):
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # 20 ms that only a range pays

        try:
            fits = SpecifierSet(value).contains(str(PLUGIN_API))
        except InvalidSpecifier as error:
            raise fault(path, f"says api = {shown(value)}; allowed: {KEYS['api'].allowed}") from error
    else:
        fits = value == PLUGIN_API
    if not fits:
        raise _other_version(path, "api", value, PLUGIN_API)


def _other_version(path: str, key: str, found: object, current: int) -> ManifestError:
    what = f"says {key} = {shown(found)}; this framework understands {current}"
    return fault(path, what, "Install versions of the plugin and of the framework that go together.")


def _check_tables(content: Mapping[str, Any], path: str) -> None:
    provides = content.get("provides", {})
    if not isinstance(provides, dict):
        raise fault(path, f"says provides = {shown(provides)}; allowed: a table of lists")
    known(provides, PROVIDES, path)
    _check_values(provides, PROVIDES, "provides.", path)
    permissions = content.get("permissions", [])
    if not isinstance(permissions, list) or not all(
        isinstance(one, dict)
        and one.keys() == PERMISSION.keys()
        and all(PERMISSION[key].fits(value) for key, value in one.items())
        for one in permissions
    ):
        raise fault(path, "has permissions that are not [[permissions]] tables with exactly a name and a reason")


def _check_contradictions(content: Mapping[str, Any], path: str) -> None:
    named = {key: {bare(one) for one in content.get(key, ())} for key in LISTS}
    for key, names in named.items():
        if content["name"] in names:
            raise fault(path, f"names the plugin {content['name']!r} itself under {key}")
    for one, other in (("requires", "conflicts"), ("optional", "conflicts"), ("after", "before")):
        if both := sorted(named[one] & named[other]):
            raise fault(path, f"names {both[0]!r} under {one} and under {other}, which contradict each other")


def bare(requirement: str) -> str:
    """Return the name in a requirement, without its range."""
    return re.split(r"[\s<>=!~]", requirement, maxsplit=1)[0]
