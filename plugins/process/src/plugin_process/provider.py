"""`ProcessProvider`: starts children and threads."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Any

from framework import Ledger, ResourceProvider, creates
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_process.child import Child, spawn
from plugin_process.command import Launch, allowed, check_arguments, check_command, check_environment, diagnosis
from plugin_process.process import LocalProcess
from plugin_process.settings import ProcessSettings
from plugin_process.slots import Slots
from plugin_process.thread import ThreadResource

EXHAUSTED = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.E2BIG}
"""What the system answers when a limit was reached, whatever the command."""


class ProcessProvider(ResourceProvider):
    """Creates `process.local` and `process.thread`.

    Args:
        settings: What the configuration says; the defaults when none are given.
        ledger: Where leases are recorded; a ledger of its own when none is given.
    """

    name = "process"

    def __init__(self, settings: ProcessSettings | None = None, ledger: Ledger | None = None) -> None:
        super().__init__(ledger)
        self.settings = settings or ProcessSettings()
        self._slots = Slots(self.settings.max_processes)

    async def cleanup(self) -> None:
        """Stop and release everything still lent, and refuse to create until initialized again.

        All are asked to stop before the first one is waited for, so that together they take one grace period.

        Raises:
            ExceptionGroup: Some releases failed; all were tried.
        """
        for resource in self.lent():
            if isinstance(resource, LocalProcess | ThreadResource):
                with contextlib.suppress(OSError):  # no descriptor left to look with: its release says so
                    resource.request_stop()
        await super().cleanup()

    def running(self) -> tuple[int, int]:
        """Return how many children and how many threads run now."""
        held = self.lent()
        children = sum(isinstance(one, LocalProcess) and one.returncode is None for one in held)
        return children, sum(isinstance(one, ThreadResource) and one.running for one in held)

    @creates("process.local")
    async def create_local_process(
        self,
        name: str,
        command: str,
        size: int = 0,
        args: list[str] | None = None,
        env: dict[str, str] | None = None,
        working_directory: str | None = None,
        stdin: bytes | None = None,
    ) -> LocalProcess:
        """A child process, started without a shell, in a session of its own.

        Args:
            name: Name of the lease.
            command: A program on PATH, or the path of one.
            size: Limit of the child's memory in bytes; only 0, no limit, can be had.
            args: Its arguments.
            env: All of its variables; those of this process when left out.
            working_directory: Where it starts; where this process is when left out.
            stdin: What it reads; nothing when left out.

        Raises:
            InvalidRequestError: A parameter is out of range.
            PolicyError: The setting `allowed_commands` does not list the command.
            ResourceUnavailableError: There is no such program or directory, or it cannot be executed.
            ResourceLimitError: Too many children are held, or the system has no room for one more.
        """
        subject = f"process.local {name!r}"
        if size:
            raise InvalidRequestError(
                f"{subject} got size {size}; a memory limit for children is not available, so only 0 is allowed.",
                "Leave size out.",
            )
        check_command(subject, command)
        check_arguments(subject, args or [])
        check_environment(subject, env or {})
        launch = Launch(command, args or [], env, working_directory, stdin)
        if self.settings.allowed_commands:
            launch = allowed(subject, launch, self.settings.allowed_commands)
        self._slots.take(subject)
        try:
            child = _spawned(subject, launch)
            limits = self.settings.stop_grace, self.settings.output_limit
            return LocalProcess(child, command, subject, *limits, self._slots.give_back)
        except BaseException:
            self._slots.give_back()
            raise

    @creates("process.thread")
    async def create_thread(
        self, name: str, target: Callable[..., Any], args: list[Any] | None = None
    ) -> ThreadResource:
        """A thread of this process that runs one function.

        Args:
            name: Name of the lease and of the thread.
            target: What runs. If it has a parameter named `stop`, it gets a `threading.Event` there, which is set when
                it should return.
            args: Its positional arguments.

        Raises:
            InvalidRequestError: The target cannot be called with these arguments.
            ResourceLimitError: The system has no thread left.
        """
        return ThreadResource(target, args or [], name, f"process.thread {name!r}", self.settings.stop_grace)


def _spawned(subject: str, launch: Launch) -> Child:
    if not hasattr(os, "pidfd_open") or not os.path.exists("/proc/loadavg"):
        raise ResourceUnavailableError(
            f"{subject} cannot be started: this system has no pidfds or no /proc, without which it cannot be stopped"
            " safely.",
            "Use Linux 5.4 or later with /proc mounted.",
        )
    try:
        return spawn(launch)
    except OSError as error:
        raise _refusal(subject, launch, error) from error
    except ValueError as error:
        raise InvalidRequestError(
            f"{subject} got a command, argument, variable or directory that no program can be given ({error}).",
            "Leave out NUL characters and lone surrogates.",
        ) from error


def _refusal(subject: str, launch: Launch, error: OSError) -> ResourceError:
    """Return the error to raise for what the system answered; only now is the time taken to find out why."""
    problem = f"{subject} cannot run {launch.command!r}: {error.strerror or error}."
    if error.errno in EXHAUSTED:
        return ResourceLimitError(problem, "Release processes or files, pass less, or raise the limit (ulimit -a).")
    if error.errno == errno.ENOEXEC:
        return ResourceUnavailableError(problem, "Begin the script with a line such as '#!/bin/sh'.")
    return diagnosis(subject, launch) or ResourceUnavailableError(problem, "Check that this user may run it.")
