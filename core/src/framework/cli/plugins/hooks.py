"""`framework plugins hooks`: every hook, who specifies it, and who implements it in which order."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from framework.cli.context import Context

if TYPE_CHECKING:
    from framework.hooks import HookRecord

COLUMNS = ("name", "specified_by", "implemented_by", "arguments", "form", "deprecated")


@click.command("hooks")
@click.pass_obj
def command(context: Context) -> None:
    """Start the enabled plugins, and list every hook with those who implement it, in the order they are called.

    The kernel's hooks come first. A hook that nobody specifies is waited for by those who implement it.
    """
    from framework.cli.plugins._running import running  # asyncio, 45 ms, which `--help` need not pay

    context.emit([_shown(one) for one in running(context, lambda host: host.hooks.records())], columns=COLUMNS)


def _shown(one: HookRecord) -> dict[str, object]:
    forms = {"async": one.asynchronous, "first result": one.firstresult, "historic": one.historic}
    return {**asdict(one), "form": ", ".join(form for form, is_so in forms.items() if is_so)}
