"""Every hook that the kernel will ever call.

Hooks serve registration only: the kernel calls each once when a plugin starts, never on the hot path. A result may be
awaitable and is then awaited, except that of `register_commands`, which is called before there is a loop. The four
families come first, the housekeeping after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from framework.protocols import AllocationStrategy, CleanupParticipant, MetricsCollector
    from framework.resources import ResourceProvider

PROJECT = "framework"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_resource_providers() -> Iterable[ResourceProvider]:
    """Return the providers of this plugin; the host initializes them and cleans them up."""
    return ()


@hookspec
def register_cleanup_participants() -> Iterable[CleanupParticipant]:
    """Return who gives something back when a cleanup is requested."""
    return ()


@hookspec
def register_metrics_collectors() -> Iterable[MetricsCollector]:
    """Return who reports measurements."""
    return ()


@hookspec
def register_allocation_strategies() -> Iterable[AllocationStrategy]:
    """Return the allocation strategies of this plugin, each under a name of its own."""
    return ()


@hookspec
def register_services() -> Mapping[str, object]:
    """Return objects that applications and other plugins fetch by name with `Framework.service`."""
    return {}


@hookspec
def register_commands() -> Iterable[click.Command]:
    """Return commands for the `framework` program; called without starting the plugin."""
    return ()


@hookspec
def add_hookspecs() -> Iterable[object]:
    """Return modules or classes that hold further hook specifications of the project `framework`."""
    return ()
