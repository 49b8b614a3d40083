"""`SurveyGroup`, a command with arguments of its own that has commands below it too."""

from __future__ import annotations

from typing import Any

import click


class SurveyGroup(click.Group):
    """A group that is a command itself, unless its first argument is the name of a command below it.

    So `framework survey query` is the query; a folder of that name is surveyed as `framework survey ./query`.
    """

    allow_extra_args = False
    allow_interspersed_args = True

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(name, subcommand_metavar="| COMMAND [ARGS]...", invoke_without_command=True, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments for those of a command below, or for one's own."""
        if args and args[0] in self.commands:
            ctx.invoked_subcommand, ctx.args = args[0], list(args)
            return ctx.args
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command below that was named, or this one."""
        if ctx.invoked_subcommand is None:
            return click.Command.invoke(self, ctx)
        name, *args = ctx.args
        ctx.args = []
        with ctx, self.commands[name].make_context(name, args, parent=ctx) as inner:
            return inner.command.invoke(inner)


class OwnArgument(click.Argument):
    """An argument of a group for itself, which click would show before each command below, too."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return how it is shown in the usage of a command."""
        return super().get_usage_pieces(ctx) if self in ctx.command.params else []
