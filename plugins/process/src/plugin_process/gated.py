"""Starts a child with limits, all of which are in force before its first instruction."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from framework.errors import ResourceLimitError, ResourceUnavailableError
from plugin_process import gate
from plugin_process.child import Child, spawn_gated
from plugin_process.command import Launch
from plugin_process.group import ControlGroup
from plugin_process.hierarchies import places
from plugin_process.limits import CONTROLLERS, Limit, Limits, enforce


async def start(
    subject: str, launch: Launch, limits: Limits, intend: Callable[[str], None], *, strict: bool
) -> tuple[Child, dict[str, Limit]]:
    """Start a child, and return it with how each of its limits is enforced.

    Args:
        subject: What it is, for messages.
        launch: What is started.
        limits: What it may use; at least one.
        intend: Called with each directory of a control group before it is made.
        strict: Whether a limit that cannot be had is refused.

    Raises:
        ResourceUnavailableError: A limit cannot be had, and `strict` says that it must.
        ResourceLimitError: The limits leave no room to start anything.
        OSError: The system refused something.
    """
    group = _group(launch.token, limits)
    try:
        for directory in group.directories:
            intend(directory)
            group.make(directory)
        child, link = spawn_gated(launch, group)
    except BaseException:
        group.remove()
        raise
    try:
        with link:
            enforced = _enforced(subject, launch, limits, child, strict=strict)
            variables = launch.variables()
            paths = [launch.path] if launch.path else gate.candidates(launch.program, variables)
            gate.go(link, paths, launch.words, variables, launch.identity)
            await _passed(link)
    except ConnectionError as error:
        child.discard()
        asked = ", ".join(f"{name}={value}" for name, value in limits.asked().items())
        raise ResourceLimitError(
            f"{subject} ended before it became {launch.program!r}, for which its limits leave no room: {asked}.",
            "Allow it more memory, tasks or descriptors.",
        ) from error
    except BaseException:
        child.discard()
        raise
    return child, enforced


def _group(token: str, limits: Limits) -> ControlGroup:
    wanted = [CONTROLLERS[name] for name in limits.asked() if name in CONTROLLERS]
    # one of version 2 can be killed at once, so it is worth having where there is a group anyway
    return ControlGroup(f"framework-{token}", places([*wanted, ""]) if wanted else {})


def _enforced(subject: str, launch: Launch, limits: Limits, child: Child, *, strict: bool) -> dict[str, Limit]:
    group = child.group
    assert group is not None  # noqa: S101 - tells mypy
    group.join(child.pid)
    user = launch.identity[0] if launch.identity else os.geteuid()
    enforced = enforce(limits, child.pid, user, group)
    if strict:
        for name, one in enforced.items():
            if one.mechanism == "none":
                raise ResourceUnavailableError(
                    f"{subject} cannot have {name}={one.value} enforced: {one.reason}.",
                    "Leave it out, ask without strict, or have a control group delegated to this program.",
                )
    return enforced


async def _passed(link: socket.socket) -> None:
    """Wait until the gate has become what was asked for.

    Raises:
        OSError: It could not.
    """
    link.setblocking(False)  # noqa: FBT003 - the name says what it means
    answer = await asyncio.get_running_loop().sock_recv(link, 16)
    if answer:
        raise OSError(int(answer), os.strerror(int(answer)))
