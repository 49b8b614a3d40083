"""`framework completion`: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from framework.cli.context import Context
from framework.cli.groups import with_output

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script to be sourced: `source <(framework completion bash)`."""
    maker = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    script = maker(ctx.find_root().command, {}, "framework", "_FRAMEWORK_COMPLETE").source()
    context: Context = ctx.obj
    if context.format == "table":
        click.echo(script)
    else:
        context.emit({"shell": shell, "script": script})


with_output(command)
