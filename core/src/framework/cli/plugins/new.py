"""`framework plugins new`: makes the package of a new plugin, which passes its conformance test at once."""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Iterator

import click

from framework import __version__
from framework.cli.context import Context
from framework.errors import FrameworkError

TEMPLATE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "template")
NAME_LIMIT = 24
"""Most characters of a name: with it no line of the package is too long."""
KIND_LIMIT = 60

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_KIND = re.compile(rf"{_NAME.pattern}(?:\.{_NAME.pattern})+")


@click.command("new")
@click.argument("name")
@click.option("--directory", metavar="DIR", help="Folder to make; default: plugin-NAME here. It must not exist.")
@click.option("--kind", help="Kind of resource that the plugin lends; default: NAME.thing.")
@click.option("--author", help="Who to ask; default: the name of the user.")
@click.pass_obj
def command(context: Context, name: str, directory: str | None, kind: str | None, author: str | None) -> None:
    """Make the package of a new plugin, with a manifest, a provider, settings and tests.

    Needs framework-core[authoring]. Nothing that exists is ever overwritten.
    """
    _check_name(context, name)
    kind = kind or f"{name}.thing"
    _check_kind(context, kind)
    author = author or _user()
    if not author.isprintable() or not author.strip():
        raise click.BadParameter(f"{author!r}; allowed: a printable text.", param_hint="--author")
    title = "plugin-" + name.replace("_", "-")
    target = os.path.abspath(directory or title)
    if os.path.lexists(target):
        raise click.BadParameter(
            f"{target} exists already, and nothing is overwritten. Choose another folder.", param_hint="--directory"
        )
    _write(target, {"name": name, "kind": kind, "author": json.dumps(author, ensure_ascii=False)})
    context.emit({"name": name, "directory": target, "distribution": title, "files": sorted(_files(target))})
    context.message(f"Next: cd {target}, then uv pip install --editable '.[test]', then pytest.")


def _check_name(context: Context, name: str) -> None:
    problem = ""
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        problem = f"allowed: 1 to {NAME_LIMIT} small letters, digits and single underscores, a letter first"
    elif keyword.iskeyword(name) or keyword.issoftkeyword(name):
        problem = "that is a word of the Python language"
    elif name in context.found.manifests or name in {fault.name for fault in context.found.faults}:
        problem = "a plugin of that name is installed"
    if problem:
        raise click.BadParameter(f"{name!r}: {problem}. Choose another name.", param_hint="NAME")


def _check_kind(context: Context, kind: str) -> None:
    problem = ""
    if not _KIND.fullmatch(kind) or len(kind) > KIND_LIMIT:
        problem = f"allowed: names joined by dots, as in family.thing, at most {KIND_LIMIT} characters"
    for one in context.found.manifests.values():
        if kind in one.provides.get("kinds", ()):
            problem = f"plugin {one.name!r} provides it"
    if problem:
        raise click.BadParameter(f"{kind!r}: {problem}. Choose another kind.", param_hint="--kind")


def _write(target: str, answers: dict[str, str]) -> None:
    """Write the package, or nothing.

    Raises:
        FrameworkError: Copier is not installed, or the folder cannot be written.
    """
    try:
        from copier import run_copy  # 0.8 s, and not installed with the kernel
        from copier.errors import CopierError
    except ImportError as error:
        raise FrameworkError(
            f"Making a package needs copier, which cannot be imported: {error}.",
            "Install it: uv pip install 'framework-core[authoring]'.",
        ) from error
    major, minor = __version__.split(".")[:2]
    answers |= {
        "class_name": "".join(word.capitalize() for word in answers["name"].split("_")),
        "kernel": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "python": ">=3.11",
    }
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        run_copy(TEMPLATE, target, data=answers, defaults=True, quiet=True)
    except (OSError, CopierError) as error:
        raise FrameworkError(f"{target} cannot be made: {error}.", "Name another folder with --directory.") from error


def _files(folder: str) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in names)


def _user() -> str:
    """Return the full name of the user, or the login name, or that nobody knows."""
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
    except (ImportError, KeyError):
        return "Somebody"
    return entry.pw_gecos.partition(",")[0].strip() or entry.pw_name
