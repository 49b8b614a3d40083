"""`framework config`: what the configuration says, where from, and whether it is right."""

from __future__ import annotations

from typing import Any

import click

from framework.cli.context import Context
from framework.cli.groups import NounGroup
from framework.errors import FrameworkError, SettingsError
from framework.manifest import Manifest
from framework.records import PluginState
from framework.settings import KEYS, PREFIX, RESERVED, Value, masked


@click.group(cls=NounGroup, name="config", help="Show, check and explain the configuration.")
def command() -> None:
    """Hold the commands below."""


@command.command("show")
@click.pass_obj
def show(context: Context) -> None:
    """Show every setting that is in force, with where it came from."""
    settings = context.settings
    keys = dict.fromkeys([*sorted(settings.origins), *(key for key in KEYS if settings.origins.get(key) is None)])
    rows = [_row(key, settings.explain(key)) for key in keys if not _covered(key, settings.origins)]
    context.emit(rows, columns=("key", "value", "source"))


@command.command("explain")
@click.argument("key")
@click.pass_obj
def explain(context: Context, key: str) -> None:
    """Explain one setting: its value, where it came from, what it overrode, and what it means."""
    found = context.settings.explain(key)
    row = _row(key, found)
    row["overridden"] = [f"{masked(key, value)!r} from {source}" for value, source in found.overridden]
    if key in KEYS:
        row |= {"doc": KEYS[key].doc, "allowed": KEYS[key].allowed, "default": KEYS[key].default}
    row["environment"] = PREFIX + key.upper().replace(".", "__")
    context.emit(row)


@command.command("check")
@click.pass_obj
def check(context: Context) -> None:
    """Check the whole configuration, the settings of every enabled plugin included; exits with 2 when it is wrong."""
    from framework.plugins import loading

    inventory = context.inventory
    faults: list[Exception] = []
    for name in sorted(context.settings.enabled(context.found.first_party())):
        record = inventory.records[name]
        if record.state in {PluginState.FAILED, PluginState.BLOCKED}:
            faults.append(SettingsError(record.reason, plugin=name))
        elif name in inventory.manifests:
            try:
                loading.settings_of(inventory.manifests[name], context.settings.section(name), name)
            except FrameworkError as error:
                faults.append(error)
    if faults:
        msg = "checking the configuration"
        raise ExceptionGroup(msg, faults)
    context.message("framework: the configuration is right")


@command.command("schema")
@click.pass_obj
def schema(context: Context) -> None:
    """Print the JSON schema of the configuration, with the settings of every installed plugin."""
    if context.format == "table":
        context.format = "json"
    tree: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    for key, one in KEYS.items():
        *parents, leaf = key.split(".")
        node = tree["properties"]
        for parent in parents:
            section = node.setdefault(parent, {"type": "object", "additionalProperties": False, "properties": {}})
            node = section["properties"]
        node[leaf] = {**one.schema, "description": one.doc} | ({} if one.default is None else {"default": one.default})
    sections = {name: _section(one, context) for name, one in sorted(context.found.manifests.items())}
    shared: dict[str, Any] = {}
    allowed: dict[str, Any] = {}
    for name, section in sections.items():
        if section is not None:
            shared |= {f"{name}.{model}": definition for model, definition in section.pop("$defs", {}).items()}
            allowed[name] = {"anyOf": [section, {"type": "null"}]}
    tree["properties"]["plugins"]["properties"] = allowed
    tree |= {"$defs": shared} if shared else {}
    context.emit({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "framework", **tree})


def _section(manifest: Manifest, context: Context) -> dict[str, Any] | None:
    if context.inventory.records[manifest.name].state is PluginState.DISABLED:
        return None  # only what the configuration enables is ever imported
    try:
        model = _model(manifest)
        # references count from the top of the whole schema, where the definitions of every plugin are put
        template = f"#/$defs/{manifest.name}.{{model}}"
        found: dict[str, Any] = {"type": "object"} if model is None else model.model_json_schema(ref_template=template)
    except Exception as error:  # noqa: BLE001 - the model is the plugin's, and the other sections are wanted
        context.message(f"framework: the schema lacks plugin {manifest.name!r}: {error}")
        return None
    properties = found.setdefault("properties", {})
    properties |= {key: {**schema, "description": doc} for key, (doc, schema) in RESERVED.items()}
    return found


def _model(manifest: Manifest) -> Any:
    from framework.plugins import loading

    return loading.settings_model(manifest)


def _row(key: str, found: Value) -> dict[str, Any]:
    return {"key": key, "value": masked(key, found.value), "source": found.source}


def _covered(key: str, origins: Any) -> bool:
    """Return whether a key of the kernel is only the parent of keys that are shown themselves."""
    return key not in origins and any(one.startswith(f"{key}.") for one in origins)
