"""`framework plugins check`: what is wrong with manifests and with the entry points they belong to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from framework.cli.context import Context
from framework.cli.plugins import PLUGIN_FAULT, known

if TYPE_CHECKING:
    from framework.manifest import Manifest

COLUMNS = ("name", "result", "reason")
OK = "ok"
FAULT = "fault"


@click.command("check")
@click.argument("subjects", metavar="[PATH|NAME]...", nargs=-1)
@click.pass_context
def command(ctx: click.Context, subjects: tuple[str, ...]) -> None:
    """Check manifests: package folders or plugin.toml files by path, plugins by name, or everything installed.

    Nothing is imported. Of what is installed, the module that the entry point names must be there too. Exits with 6
    when anything is wrong, with 2 when there is no such path or plugin.
    """
    context: Context = ctx.obj
    rows = [row for one in subjects for row in _subject(context, one)] if subjects else list(_installed(context))
    context.emit(rows, columns=COLUMNS)
    if any(row["result"] == FAULT for row in rows):
        ctx.exit(PLUGIN_FAULT)


def _subject(context: Context, subject: str) -> Iterator[dict[str, str]]:
    is_path = os.sep in subject or subject.endswith(".toml")
    if is_path or (os.path.lexists(subject) and subject not in context.inventory.records):
        yield _path(subject)
        return
    known(context, subject)
    yield from (row for row in _installed(context) if row["name"] == subject)


def _path(path: str) -> dict[str, str]:
    from framework import manifest
    from framework.errors import FrameworkError

    file = os.path.join(path, manifest.FILE_NAME) if os.path.isdir(path) else path
    if not os.path.lexists(file):
        msg = f"There is no {file!r}. Name a package folder with a {manifest.FILE_NAME}, such a file, or a plugin."
        raise click.UsageError(msg)
    try:
        content = manifest.read(os.path.abspath(file))
        one = manifest.build(content, path=os.path.abspath(file), entry_point="")
        return _row(one.name, file, _wrong(one))
    except FrameworkError as error:
        return _row(file, file, str(error))


def _installed(context: Context) -> Iterator[dict[str, str]]:
    for one in sorted(context.found.manifests.values(), key=lambda each: each.name):
        warnings = " ".join(context.inventory.records[one.name].warnings)  # of those enabled: who promises the same
        yield _row(one.name, one.path or one.distribution, _wrong(one) or warnings)
    for fault in sorted(context.found.faults, key=lambda each: each.name):
        yield _row(fault.name, fault.distribution, fault.reason)


def _wrong(one: Manifest) -> str:
    """Return what a manifest that follows the format still has wrong, or nothing."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    from framework.audit import PERMISSIONS
    from framework.errors import did_you_mean
    from framework.manifest_schema import bare

    for key in ("requires", "optional"):
        for requirement in getattr(one, key):
            versions = requirement.removeprefix(bare(requirement))
            try:
                SpecifierSet(versions)
            except InvalidSpecifier:
                return f"{key} of {one.name!r} has {requirement!r}, whose range {versions.strip()!r} cannot be parsed."
    for permission in one.permissions:
        if permission.name not in PERMISSIONS:
            names = f"{one.name!r} declares the permission {permission.name!r}; allowed: {', '.join(PERMISSIONS)}."
            return f"{names} {did_you_mean(permission.name, PERMISSIONS)}".rstrip()
    try:
        Version(one.version or "0")
    except InvalidVersion:
        return f"The version {one.version!r} of {one.name!r} is none that a range can be compared with."
    return _wrong_settings(one, os.path.dirname(one.path))


def _wrong_settings(one: Manifest, package: str) -> str:
    """Return that the module of the settings model is missing in the package folder, or nothing."""
    module = one.settings.partition(":")[0]
    top, _, rest = module.partition(".")
    if not rest or top != os.path.basename(package):
        return ""
    base = os.path.join(package, *rest.split("."))
    if os.path.isfile(f"{base}.py") or os.path.isdir(base):
        return ""
    return f"settings of {one.name!r} names the module {module!r}, which is not there."


def _row(name: str, source: str, reason: str) -> dict[str, str]:
    return {"name": name, "result": FAULT if reason else OK, "source": source, "reason": reason}
