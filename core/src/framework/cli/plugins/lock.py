"""`framework plugins lock`: writes down which plugins are trusted as they are installed now."""

from __future__ import annotations

from dataclasses import asdict

import click

from framework import lock
from framework.cli.context import Context
from framework.cli.plugins import PLUGIN_FAULT
from framework.errors import PluginError
from framework.manifest import Manifest

COLUMNS = ("name", "version", "distribution", "sha256")


@click.command("lock")
@click.option("--check", is_flag=True, help="Write nothing; compare what is installed with the lock.")
@click.pass_context
def command(ctx: click.Context, *, check: bool) -> None:
    """Write name, version and hash of every enabled plugin into framework.lock, beside the configuration.

    With --check it prints what differs from the lock instead, and exits with 6 when something does.
    """
    context: Context = ctx.obj
    path = lock.place(context.settings.base)
    manifests = _enabled(context)
    if not check:
        found = lock.entries(manifests)
        lock.write(found, path)
        context.message(f"Locked {len(found)} plugins in {path}.")
        context.emit([{"name": name, **asdict(one)} for name, one in found.items()], columns=COLUMNS)
        return
    differences = lock.verify(manifests, path)
    for name in sorted(lock.read(path).keys() - {one.name for one in manifests}):
        differences[name] = f"Plugin {name!r} is in the lock, but is not enabled."
    context.emit([{"name": name, "reason": reason} for name, reason in differences.items()], columns=("name", "reason"))
    if differences:
        ctx.exit(PLUGIN_FAULT)


def _enabled(context: Context) -> list[Manifest]:
    """Return the manifests of the enabled plugins.

    Raises:
        PluginError: One of them is missing or broken, so that nothing can be said of its files.
    """
    wanted = sorted(context.settings.enabled(context.found.first_party()))
    manifests = context.inventory.manifests
    for name in wanted:
        if name not in manifests:
            raise PluginError(
                f"Plugin {name!r} cannot be locked. {context.inventory.records[name].reason}",
                "Repair or disable it first.",
                plugin=name,
            )
    return [manifests[name] for name in wanted]
