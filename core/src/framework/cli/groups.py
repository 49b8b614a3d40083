"""Click groups: nouns that are imported only when used, commands of plugins, and `-o` on every command."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from framework.cli import output
from framework.cli.context import Context
from framework.errors import FrameworkError, PluginError, did_you_mean

if TYPE_CHECKING:
    from framework.inventory import Inventory
    from framework.records import PluginRecord

NOUNS = {
    "plugins": "List, show and manage what is installed.",
    "resources": "Show who holds what, what can be acquired, and give back what the dead left.",
    "config": "Show, check and explain the configuration.",
    "doctor": "Tell what this machine offers.",
    "completion": "Print the shell's completion script.",
}
"""The kernel's own commands; each is the object `command` of the module of that name in this package."""


def _choose(ctx: click.Context, _option: click.Parameter, value: str) -> str:
    context_of(ctx).format = value
    return value


def with_output(command: click.Command) -> click.Command:
    """Return the command, or the group with all below it, with the option `-o`: how `Context.emit` prints."""
    runs = True
    if isinstance(command, click.Group):
        runs = command.invoke_without_command
        for one in command.commands.values():
            with_output(one)
    if runs and not any("-o" in one.opts for one in command.params):
        option = click.Option(
            ["-o", "--output"],
            type=click.Choice(output.FORMATS),
            default=output.TABLE,
            show_default=True,
            expose_value=False,
            callback=_choose,
            help="How results are printed to standard output.",
        )
        command.params.append(option)
    return command


def context_of(ctx: click.Context) -> Context:
    """Return the context of the command line, also while it is still being parsed, as for `--help`."""
    top = ctx.find_root()
    if not isinstance(top.obj, Context):
        flags: tuple[str, ...] = top.params.get("flags") or ()
        flags += tuple(f"{name}=true" for name in ("safe_mode", "locked") if top.params.get(name))
        top.obj = Context(top.params.get("config"), flags)
    return top.obj


class NounGroup(click.Group):
    """A group whose commands all take `-o`."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, with the option `-o`."""
        super().add_command(with_output(cmd), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name.

        Raises:
            click.UsageError: There is none; the message names the nearest.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            if not hint or hint in error.message:
                raise
            raise click.UsageError(f"{error.message} {hint}", ctx) from error


class VerbGroup(NounGroup):
    """A noun whose verbs are modules of a package, each with a `command`; only the one that is used is imported.

    A module's name is the verb's, with `_` appended where Python has a builtin of that name.
    """

    def __init__(self, package: str, path: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self._package = package
        self._modules = {
            one.name.rstrip("_").replace("_", "-"): one.name
            for one in pkgutil.iter_modules(list(path))
            if not one.name.startswith("_")
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, sorted."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command, importing its module."""
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(f"{self._package}.{self._modules[cmd_name]}")
        command: click.Command = module.command
        return with_output(command)


class RootGroup(NounGroup):
    """The top level: the kernel's nouns, then the commands that enabled plugins say they provide."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, without importing a plugin."""
        return [*NOUNS, *(name for name, _ in _offers(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing the plugin that provides it if need be.

        Raises:
            PluginError: The plugin that provides it is disabled or broken.
        """
        if cmd_name in NOUNS:
            command: click.Command = importlib.import_module(f"framework.cli.{cmd_name}").command
            return command
        inventory = context_of(ctx).inventory
        offers = [one for one in inventory.manifests.values() if cmd_name in one.provides.get("commands", ())]
        offers.sort(key=lambda one: (one.name not in inventory.plan.order, one.name))  # first who can run
        return _plugin_command(cmd_name, inventory.records[offers[0].name], inventory) if offers else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; what plugins provide is described by their manifests."""
        with formatter.section("Commands"):
            formatter.write_dl([*NOUNS.items(), *_offers(ctx)])


def _offers(ctx: click.Context) -> list[tuple[str, str]]:
    """Return name and description of each command of an enabled plugin; a broken configuration has none."""
    try:
        inventory = context_of(ctx).inventory
    except FrameworkError:
        return []
    ready = (inventory.manifests[name] for name in inventory.plan.order if name in inventory.manifests)
    return sorted((command, one.description) for one in ready for command in one.provides.get("commands", ()))


def _plugin_command(name: str, record: PluginRecord, inventory: Inventory) -> click.Command:
    from framework.plugins import loading
    from framework.records import PluginState

    if record.state is not PluginState.DISCOVERED:
        raise PluginError(
            f"The command {name!r} comes from plugin {record.name!r}, which is {record.state.value}.",
            record.reason or f"Write `{record.name}: {{}}` under `plugins:` to enable it.",
            plugin=record.name,
        )
    plugin = loading.load(inventory.manifests[record.name])
    hook = getattr(plugin, "register_commands", None)
    try:
        commands = [] if hook is None else [one for one in hook() if isinstance(one, click.Command)]
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"The command {name!r} of plugin {record.name!r} cannot be had: {loading.described(error)}.",
            "Report this to the plugin's author.",
            plugin=record.name,
        ) from error
    for command in commands:
        if command.name == name:
            return with_output(command)
    raise PluginError(
        f"Plugin {record.name!r} promises the command {name!r} in its manifest, but registers no such command.",
        "Report this to the plugin's author.",
        plugin=record.name,
    )
