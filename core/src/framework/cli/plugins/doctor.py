"""`framework plugins doctor`: imports each plugin in a process of its own, and tells what it does to the process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import click

from framework.cli.context import Context
from framework.cli.plugins import PLUGIN_FAULT, known
from framework.doctor import Examination, examine
from framework.doctor.examination import MEMORY_BYTES, TIMEOUT_S

COLUMNS = ("name", "outcome", "import_ms", "modules", "slowest", "findings")


@click.command("doctor")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=TIMEOUT_S, show_default=True, help="Seconds for each plugin."
)
@click.option(
    "--memory",
    type=click.IntRange(64),
    default=MEMORY_BYTES >> 20,
    show_default=True,
    help="MiB of address space for each plugin.",
)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], *, timeout: float, memory: int) -> None:
    """Examine the plugins named, or all that are enabled, each in a process of its own.

    Each is imported and constructed, within limits, and its files are compared with what was installed. What it does
    without having declared it is observed, not enforced. Exits with 6 when a plugin cannot be imported or its files
    were changed.
    """
    context: Context = ctx.obj
    wanted = names or sorted(context.settings.enabled(context.found.first_party()))
    results = [_examined(context, name, timeout, memory << 20) for name in dict.fromkeys(wanted)]
    context.emit([_shown(one) for one in results], columns=COLUMNS)
    if not all(one.healthy for one in results):
        ctx.exit(PLUGIN_FAULT)


def _examined(context: Context, name: str, timeout: float, memory: int) -> Examination:
    record = known(context, name)
    manifest = context.inventory.manifests.get(name)
    if manifest is None:
        return Examination(name, "broken", record.reason)
    return examine(manifest, timeout=timeout, memory=memory)


def _shown(one: Examination) -> dict[str, object]:
    return {
        **asdict(one),
        "import_ms": round(one.seconds * 1000, 1),
        "slowest": [f"{module} {seconds * 1000:.1f} ms" for module, seconds in one.slowest],
        "undeclared": one.undeclared,
        "findings": list(_findings(one)),
    }


def _findings(one: Examination) -> Iterable[str]:
    """Yield all that a person should read, worst first."""
    if one.reason:
        yield one.reason
    yield from one.files.problems
    for name in one.undeclared:
        yield f"It did what permission {name!r} covers, which it does not declare: {one.observed[name][0]}."
    yield from one.changes
