"""Writes the parts of the reference that the code knows best, before every build, into `reference/`.

    reference/_generated/*.md    included by the pages beside it
    reference/_generated/*.svg   pictures, as a command draws them, and of what commands print
    reference/plugins/<x>.md     one page for each plugin directory of this repository

Neither is committed, so neither can be stale. `tests/architecture/test_documentation.py` checks what comes out.
"""

from __future__ import annotations

import asyncio
import glob
import importlib
import inspect
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from docs import _markdown as md
from docs import _session

import framework
from framework import errors, hookspecs, settings
from framework.cli import root
from framework.cli.context import Context
from framework.discovery import discover
from framework.manifest import Manifest
from framework.plugins.loading import load_object
from framework.records import KindRecord, PluginState
from framework.testing import (
    PERMISSIONS,
    CollectorContract,
    ParticipantContract,
    PluginContract,
    ProviderContract,
    StrategyContract,
)

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    logging.getLogger("framework").setLevel(logging.WARNING)
    app.connect("builder-inited", _before_reading)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _before_reading(app: Sphinx) -> None:
    from sphinx.util.logging import getLogger

    written = write(pages(getLogger(__name__).warning), os.path.join(str(app.srcdir), "reference"))
    for stale in set(glob.glob(os.path.join(str(app.srcdir), "reference", "plugins", "*.md"))) - written:
        if os.path.basename(stale) != "index.md":
            os.remove(stale)


def write(texts: dict[str, str], folder: str) -> set[str]:
    """Write each page below a folder, touching only what changed; return the files."""
    files = set()
    for name, text in texts.items():
        file = os.path.join(folder, name)
        files.add(file)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        if not os.path.isfile(file) or _read(file) != text:
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(text)
    return files


def pages(warn: Any = print) -> dict[str, str]:
    """Return the text of every generated page by its path below `reference/`."""
    manifests = own_plugins()
    kinds = asyncio.run(_registered(manifests, warn))
    texts = {
        "_generated/hooks.md": hooks(),
        "_generated/settings.md": kernel_settings(),
        "_generated/cli.md": "\n".join(_commands(manifests)),
        "_generated/errors.md": error_tree(),
        "_generated/api.md": "\n\n".join(md.public_name(name, getattr(framework, name)) for name in framework.__all__),
        "_generated/unreleased.md": unreleased(),
        "_generated/contract.md": contract(PluginContract),
        "_generated/contract_provider.md": contract(ProviderContract),
        "_generated/contract_participant.md": contract(ParticipantContract),
        "_generated/contract_collector.md": contract(CollectorContract),
        "_generated/contract_strategy.md": contract(StrategyContract),
        "_generated/permissions.md": permissions(),
        "_generated/kinds.md": "\n".join(text.removeprefix("#") for each in kinds.values() for text in each),
    }
    if "pool" in manifests:
        texts["_generated/waits.svg"] = waits()
    if manifests.keys() >= _session.NEEDED:
        texts["_generated/session.txt"] = _session.transcript()
        texts["_generated/session.svg"] = _session.picture(texts["_generated/session.txt"])
    for name, one in manifests.items():
        texts[f"plugins/{name}.md"] = plugin_page(one, kinds.get(name, []))
    return texts


def own_plugins() -> dict[str, Manifest]:
    """Return the manifest of each plugin whose directory is in this repository."""
    places = tuple(os.path.join(ROOT, kind, "") for kind in ("plugins", "contrib"))
    found = discover().manifests.items()
    return {name: one for name, one in sorted(found) if os.path.realpath(one.path).startswith(places)}


def waits() -> str:
    """Return the picture that the guide to the pool shows, as its command draws it."""
    command = [sys.executable, "-c", "from framework.cli import main; main()", "pool", "simulate"]
    command += ["--strategy", "first_fit", "--strategy", "best_fit", "--svg", "waits.svg"]
    with tempfile.TemporaryDirectory() as folder:  # where there is no configuration
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        return _read(os.path.join(folder, "waits.svg"))


def hooks() -> str:
    """Return a section for each hook specification."""
    parts = []
    for name, item in vars(hookspecs).items():
        if inspect.isfunction(item) and hasattr(item, f"{hookspecs.PROJECT}_spec"):
            parts.append(f"## `{name}`\n\n```python\n{md.signature(name, item)}\n```\n\n{md.docstring(item)}\n")
    return "\n".join(parts)


def kernel_settings() -> str:
    """Return the table of the kernel's own settings."""
    rows = [[md.code(key), one.doc, one.allowed, _default(one.default)] for key, one in settings.KEYS.items()]
    return md.table(["key", "meaning", "allowed", "default"], rows)


def environment_variable(key: str) -> str:
    """Return the name of the environment variable that sets a key."""
    return settings.PREFIX + key.upper().replace(".", "__")


def error_tree() -> str:
    """Return the table of all errors, each after its parent."""
    rows = [
        [
            md.code(cls.__name__),
            md.code(cls.__mro__[1].__name__),
            str(cls.exit_code),
            md.docstring(cls).split("\n\n")[0],
        ]
        for cls in _descend(errors.FrameworkError)
    ]
    return md.table(["error", "is a", "exit code", "meaning"], rows)


def contract(suite: type) -> str:
    """Return what a conformance suite tests, one line for each test."""
    parts = [one for one in suite.__mro__ if one.__module__.startswith("framework.")]
    tests = {name: item for part in parts for name, item in vars(part).items() if name.startswith("test_")}
    return "\n".join(
        f"- **{name[5:].replace('_', ' ').capitalize()}.** {md.docstring(item)}" for name, item in tests.items()
    )


def permissions() -> str:
    """Return the table of all permissions that a manifest can declare."""
    return md.table(["permission", "what it covers: the plugin …"], PERMISSIONS.items())


def unreleased() -> str:
    """Return the fragments of changes that no release has yet, by type."""
    files = sorted(glob.glob(os.path.join(HERE, "changelog", "[0-9]*.md")))
    parts = [f"**{os.path.basename(file).split('.')[1].capitalize()}.** {_read(file)}" for file in files]
    return "\n\n".join(parts) or "Nothing."


def plugin_page(one: Manifest, kinds: Sequence[str]) -> str:
    """Return a plugin's README, followed by what its manifest, settings model and provider say."""
    readme = os.path.join(os.path.dirname(one.path), "..", "..", "README.md")
    parts = [_read(readme).rstrip(), "## Manifest", _facts(one)]
    if one.settings:
        parts += ["## Settings", plugin_settings(one)]
    if kinds:
        parts += ["## Kinds", *kinds]
    if names := plugin_names(one):
        parts += ["## Public names", names]
    return "\n\n".join(parts) + "\n"


def plugin_names(one: Manifest) -> str:
    """Return the sections on what the package of a plugin exports, one level below those of the public names."""
    package = importlib.import_module(one.entry_point.partition(".")[0])
    model = one.settings.partition(":")[2]  # has a table of its own on the page
    exported = {name: getattr(package, name) for name in getattr(package, "__all__", ()) if name != model}
    sections = "\n\n".join(md.public_name(name, item) for name, item in exported.items())
    return re.sub(r"^(##+ `)", r"#\1", sections, flags=re.MULTILINE)


def plugin_settings(one: Manifest) -> str:
    """Return the table of a plugin's settings."""
    schema = load_object(one.settings, one.name).model_json_schema()
    rows = [
        [
            md.code(f"plugins.{one.name}.{name}"),
            field.get("description", ""),
            ", ".join(_allowed(field)),
            _default(field.get("default", [] if field.get("type") == "array" else None)),
        ]
        for name, field in schema.get("properties", {}).items()
    ]
    example = f"plugins.{one.name}.{next(iter(schema.get('properties', {'<key>': {}})))}"
    variable = f"In the environment {md.code(example)} is {md.code(environment_variable(example))}; so with the others."
    return md.table(["key", "meaning", "allowed", "default"], rows) + f"\n\n{variable}"


def _facts(one: Manifest) -> str:
    provides = [f"{what}: {', '.join(map(md.code, names))}" for what, names in one.provides.items() if names]
    rows = [
        ["name", md.code(one.name)],
        ["type", one.type],
        ["distribution", f"{md.code(one.distribution)} {one.version}"],
        ["provides", "; ".join(provides) or "nothing"],
        ["requires", ", ".join(map(md.code, one.requires)) or "nothing"],
        *(["permission", f"{md.code(each.name)}: {each.reason}"] for each in one.permissions),
    ]
    return f"{one.description}\n\n" + md.table(["what", "value"], rows)


async def _registered(manifests: Iterable[str], warn: Any) -> dict[str, list[str]]:
    """Return the sections of each plugin's kinds, as it really registers them."""
    chosen = settings.Settings.load({"plugins": dict.fromkeys(manifests)}, environ={})
    sections: dict[str, list[str]] = {}
    async with framework.Framework(chosen) as host:
        await host.plugins.activate_all()
        for record in host.plugins.records():
            if record.state is not PluginState.ACTIVE and record.state is not PluginState.DISABLED:
                warn(f"the reference lacks plugin {record.name!r}, which is {record.state.value}: {record.reason}")
        for one in host.kinds():
            factory = _factory(host.plugins.contributions.provider(one.kind), one.kind)
            sections.setdefault(one.plugin, []).append(_kind(one, factory))
    return sections


def _factory(provider: object, kind: str) -> Any:
    """Return the method that creates a kind."""
    methods = (getattr(type(provider), name) for name in dir(type(provider)))
    return next(one for one in methods if getattr(getattr(one, "request_signature", None), "kind", "") == kind)


def _kind(one: KindRecord, factory: Any) -> str:
    meanings = md.items(factory, "Args:")
    rows = [
        [
            md.code(each.name),
            md.code(each.type),
            "required" if each.required else md.code(each.default) or "made up",
            meanings.get(each.name, ""),
        ]
        for each in one.parameters
    ]
    raised = [f"- `{name}`: {text}" for name, text in md.items(factory, "Raises:").items()]
    parts = [
        f"### `{one.kind}`",
        f"{one.description} Provided by plugin `{one.plugin}`, whose provider calls it `{factory.__name__}`.",
        md.table(["parameter", "type", "default", "meaning"], rows),
    ]
    return "\n\n".join([*parts, *(["Refused with:", "\n".join(raised)] if raised else [])]) + "\n"


def _commands(manifests: Iterable[str]) -> Iterator[str]:
    context = Context()
    context.settings = settings.Settings.load({"plugins": dict.fromkeys(manifests)}, environ={})
    with click.Context(root, info_name="framework", obj=context, **root.context_settings) as ctx:
        yield from _command(root, ctx)


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield f"## `{ctx.command_path}`\n"
    if command.help:
        yield inspect.cleandoc(command.help).replace("\b\n", "") + "\n"
    yield f"```text\n{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    for option in command.get_params(ctx):
        record = option.get_help_record(ctx)
        if record is not None:
            yield f"- `{record[0]}`: {record[1]}".removesuffix(": ")
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None:
                with click.Context(child, info_name=name, parent=ctx) as inner:
                    yield from _command(child, inner)


def _descend(cls: type[errors.FrameworkError]) -> Iterator[type[errors.FrameworkError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _descend(child)


def _allowed(field: dict[str, Any]) -> Iterator[str]:
    """Return what a field of a JSON schema allows, in words."""
    for choice in field.get("anyOf", [field]):
        if "const" in choice or "enum" in choice:
            yield " or ".join(md.code(str(one)) for one in choice.get("enum", [choice.get("const")]))
        elif choice.get("type") == "array":
            yield f"list of {choice.get('items', {}).get('type', 'anything')}"
        else:
            bounds = [f"{sign} {choice[key]}" for key, sign in BOUNDS.items() if key in choice]
            yield " ".join([str(choice.get("type", "anything")), " and ".join(bounds)]).strip()


BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than"}


def _default(value: Any) -> str:
    import json

    return md.code(json.dumps(value))


def _read(file: str) -> str:
    with open(file, encoding="utf-8") as stream:
        return stream.read()
