"""`DummyPlugin`: implements every hook, lends things of each sort, and records what was done to it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping

import click

from framework.errors import ResourceUnavailableError
from framework.hookspecs import hookimpl
from framework.plugins import Plugin, plugin
from framework.protocols import CommandContext
from framework.records import PluginType, Recovery, ResourceClass
from framework.resources import Resource, ResourceProvider, creates


class DummyResource(Resource):
    """A resource made of nothing."""

    def __init__(self, actions: list[str], title: str) -> None:
        self._actions = actions
        self._title = title

    async def _close(self) -> None:
        self._actions.append(f"release {self._title}")


class DummyPath(Resource):
    """A file or a symbolic link; `path` is where. It goes with the lease."""

    def __init__(self, actions: list[str], title: str, path: str) -> None:
        self._actions = actions
        self._title = title
        self.path = path

    def _close(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # somebody was faster; that is what was wanted
            os.unlink(self.path)
        self._actions.append(f"release {self._title}")


class DummyProvider(ResourceProvider):
    """Creates `dummy.thing`, which needs no recovery, `dummy.file`, which the kernel removes, and `dummy.link`.

    No verb of the kernel's removes a symbolic link, so that is this provider's own doing.
    """

    def __init__(self, actions: list[str]) -> None:
        super().__init__()
        self.actions = actions

    @creates("dummy.thing")
    async def create_thing(self, name: str, size: int = 0) -> DummyResource:
        """A resource made of nothing."""
        self.actions.append(f"create {name}")
        return DummyResource(self.actions, name)

    @creates("dummy.file")
    async def create_file(self, name: str) -> DummyPath:
        """An empty file among the temporary ones."""
        path = os.path.join(_folder(), f"dummy-file-{self.token()}")
        self.intend(Recovery.UNLINK, path)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _unavailable("dummy.file", name, error) from error
        return self._path(name, path)

    @creates("dummy.link")
    async def create_link(self, name: str) -> DummyPath:
        """A symbolic link to nowhere, among the temporary files."""
        path = os.path.join(_folder(), f"dummy-link-{self.token()}")
        self.intend(Recovery.PROVIDER, path)
        try:
            os.symlink("nowhere", path)
        except OSError as error:
            raise _unavailable("dummy.link", name, error) from error
        return self._path(name, path)

    async def reclaim(self, path: str) -> None:
        """Remove a link that a process left when it died; nothing else is removed, and one that is gone is fine."""
        _remove_link(path)

    def _path(self, name: str, path: str) -> DummyPath:
        self.actions.append(f"create {name}")
        return DummyPath(self.actions, name, path)


def _remove_link(path: str) -> None:
    if os.path.basename(path).startswith("dummy-link-") and os.path.islink(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _folder() -> str:
    return os.path.realpath(tempfile.gettempdir())


def _unavailable(kind: str, name: str, error: OSError) -> ResourceUnavailableError:
    return ResourceUnavailableError(
        f"{kind} {name!r} cannot be made: {error.strerror}.", "Close files, or make room among the temporary ones."
    )


class DummyParticipant:
    """Claims to free a byte each time, and more when asked aggressively."""

    name = "dummy"

    def __init__(self, actions: list[str]) -> None:
        self.actions = actions

    def cleanup(self, *, aggressive: bool, reason: str) -> int:
        """Record the request."""
        self.actions.append(f"cleanup {reason}")
        return 2 if aggressive else 1


class DummyCollector:
    """Measures how many actions were recorded."""

    name = "dummy"

    def __init__(self, actions: list[str]) -> None:
        self.actions = actions

    def collect(self) -> Mapping[str, float]:
        """Return the number of actions."""
        return {"dummy_actions": float(len(self.actions))}


class DummyStrategy:
    """Prefers the class with the lowest levels."""

    name = "dummy_fit"

    def rank(self, resource_class: ResourceClass) -> float:
        """Return the sum of all levels."""
        return float(sum(resource_class.capabilities.values()))


@click.command("dummy")
@click.pass_obj
def dummy_command(context: CommandContext) -> None:
    """Print one row."""
    context.emit({"dummy": True})


@plugin(
    name="dummy",
    version="1.0.0",
    description="Implements every hook, and lends things of each sort.",
    author="The framework authors",
    plugin_type=PluginType.PROVIDER,
)
class DummyPlugin(Plugin):
    """The reference plugin; `actions` lists what was done to it, in order."""

    def __init__(self) -> None:
        self.actions: list[str] = []

    async def initialize(self) -> None:
        """Record the call."""
        self.actions.append("initialize")

    async def cleanup(self) -> None:
        """Record the call."""
        self.actions.append("cleanup")

    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        """Register the dummy provider."""
        return [DummyProvider(self.actions)]

    @hookimpl
    def register_cleanup_participants(self) -> list[DummyParticipant]:
        """Register the dummy participant."""
        return [DummyParticipant(self.actions)]

    @hookimpl
    def register_metrics_collectors(self) -> list[DummyCollector]:
        """Register the dummy collector."""
        return [DummyCollector(self.actions)]

    @hookimpl
    def register_allocation_strategies(self) -> list[DummyStrategy]:
        """Register the dummy strategy."""
        return [DummyStrategy()]

    @hookimpl
    def register_services(self) -> dict[str, object]:
        """Register the list of actions as a service."""
        return {"dummy.actions": self.actions}

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Register the dummy command."""
        return [dummy_command]
