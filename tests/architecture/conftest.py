"""What the tests of the documentation compare it with."""

import os

import click
import pytest

from framework import errors
from framework.cli import root
from framework.cli.context import Context
from framework.discovery import discover
from framework.manifest import Manifest
from framework.settings import Settings

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


@pytest.fixture(scope="session")
def own() -> dict[str, Manifest]:
    """Return the manifests of the plugins whose directories are here."""
    places = tuple(os.path.join(ROOT, kind, "") for kind in ("plugins", "contrib"))
    return {name: one for name, one in discover().manifests.items() if os.path.realpath(one.path).startswith(places)}


@pytest.fixture(scope="session")
def commands(own: dict[str, Manifest]) -> dict[str, click.Command]:
    """Return every command by its full name, those of plugins included."""
    context = Context()
    context.settings = Settings.load({"plugins": dict.fromkeys(own)}, environ={})
    found: dict[str, click.Command] = {}
    todo: list[tuple[str, click.Command, click.Context]] = [("framework", root, click.Context(root, obj=context))]
    while todo:
        name, command, ctx = todo.pop()
        found[name] = command
        if isinstance(command, click.Group):
            for word in command.list_commands(ctx):
                child = command.get_command(ctx, word)
                assert child is not None, word
                todo.append((f"{name} {word}", child, click.Context(child, info_name=word, parent=ctx)))
    return found


@pytest.fixture(scope="session")
def error_classes() -> dict[str, type[errors.FrameworkError]]:
    """Return every error of the framework by its name."""
    classes = ((name, one) for name, one in vars(errors).items() if isinstance(one, type))
    return {name: one for name, one in classes if issubclass(one, errors.FrameworkError)}
