"""`ProcessProvider`: starts children and threads."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, Literal

from framework import Ledger, Quota, Recovery, ResourceProvider, creates, get_logger
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_process import gated
from plugin_process.child import spawn
from plugin_process.command import Launch, allowed, check, diagnosis, identity
from plugin_process.limits import UNLIMITED, Limit, Limits, described
from plugin_process.process import LocalProcess
from plugin_process.settings import ProcessSettings
from plugin_process.thread import ThreadResource
from plugin_process.usage import ResourceUse

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
        self.cpu_seconds = 0.0
        self.disk_bytes = 0
        self.out_of_memory = 0

    def quotas(self) -> Iterable[Quota]:
        """Return the bound on children."""
        yield Quota(
            kinds=("process.local",), count=self.settings.max_processes, setting="plugins.process.max_processes"
        )

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
        stdin: bytes | Literal["pipe", "inherit"] | None = None,
        *,
        stdout: Literal["capture", "inherit", "discard"] = "capture",
        stderr: Literal["capture", "inherit", "discard", "stdout"] = "capture",
        shell: bool = False,
        user: str | int | None = None,
        group: str | int | None = None,
        groups: list[str | int] | None = None,
        max_memory: int | None = None,
        max_cpu: float | None = None,
        pids: int | None = None,
        files: int | None = None,
        io_priority: str | None = None,
        nice: int | None = None,
        strict: bool = False,
    ) -> LocalProcess:
        """A child process, started without a shell unless asked for one, in a session of its own.

        Args:
            name: Name of the lease.
            command: A program on PATH, or the path of one; with `shell`, text that `/bin/sh` reads.
            size: Limit of its memory in bytes, as `max_memory`; 0 is no limit.
            args: Its arguments; with `shell`, what the text knows as `$1`, `$2` and so on.
            env: All of its variables; those of this process when left out. `FRAMEWORK_LEASE` is added.
            working_directory: Where it starts; where this process is when left out.
            stdin: Bytes that it reads, `pipe` to write to it as it runs, or `inherit`; nothing when left out.
            stdout: Whether its output is captured, goes where this process' does, or is discarded.
            stderr: The same for its messages; `stdout` mixes them into its output.
            shell: Whether a shell reads the command; `allowed_commands` must then allow `/bin/sh`.
            user: Who it runs as, by name or number; only root may choose. Its groups are the user's own.
            group: Its main group, instead of the user's.
            groups: Its other groups, instead of the user's.
            max_memory: Most bytes of memory of the child and all that it starts together.
            max_cpu: Most processors that these use, in parts of one if need be, as in 0.5.
            pids: Most tasks, processes and threads, that these are.
            files: Most descriptors that each of them has open.
            io_priority: `idle`, or `best-effort` or `realtime` with a level from 0, the highest, to 7.
            nice: From -20, which gets most of the processor, to 19.
            strict: Whether a limit that cannot be had is refused, instead of done without and logged.

        Raises:
            InvalidRequestError: A parameter is out of range.
            PolicyError: The setting `allowed_commands` does not list the command, or not the shell.
            ResourceUnavailableError: The program, the directory or a limit is not to be had.
            ResourceLimitError: Too many children are held, or the system has no room for one more.
        """
        subject = f"process.local {name!r}"
        limits = Limits(_memory(subject, size, max_memory), max_cpu, pids, files, io_priority, nice).check(subject)
        check(subject, command, args or [], env or {}, stdin)
        who = identity(subject, user, group, groups or [])
        launch = Launch(command, args or [], env, working_directory, stdin, stdout, stderr, who, shell, self.token())
        return await self._start(subject, launch, limits, strict=strict)

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

    async def _start(self, subject: str, launch: Launch, limits: Limits, *, strict: bool) -> LocalProcess:
        _check_system(subject)
        if self.settings.allowed_commands:
            launch = allowed(subject, launch, self.settings.allowed_commands)
        self.intend(Recovery.KILL, launch.token, volatile=True)
        enforced: dict[str, Limit] = {}
        try:
            if limits != UNLIMITED:
                child, enforced = await gated.start(subject, launch, limits, self._intend_group, strict=strict)
            else:
                child = spawn(launch)
        except OSError as error:
            raise _refusal(subject, launch, error) from error
        except ValueError as error:
            raise InvalidRequestError(
                f"{subject} got a command, argument, variable or directory that no program can be given ({error}).",
                "Leave out NUL characters and lone surrogates.",
            ) from error
        missing = {name: one.reason for name, one in enforced.items() if one.mechanism == "none"}
        if missing:
            get_logger().warning("limit_missing", resource=subject, missing=missing, in_force=described(enforced))
        return LocalProcess(child, launch.program, subject, self.settings, enforced, self._take_note_of_end)

    def _intend_group(self, directory: str) -> None:
        self.intend(Recovery.RMDIR, directory, volatile=True)

    def _take_note_of_end(self, use: ResourceUse | None, out_of_memory: bool) -> None:
        self.out_of_memory += out_of_memory
        if use is not None:
            self.cpu_seconds += use.user_seconds + use.system_seconds
            self.disk_bytes += use.read_bytes + use.written_bytes


@functools.cache
def _can_be_stopped() -> bool:
    return hasattr(os, "pidfd_open") and os.path.exists("/proc/loadavg")


def _check_system(subject: str) -> None:
    if not _can_be_stopped():
        raise ResourceUnavailableError(
            f"{subject} cannot be started: this system has no pidfds or no /proc, without which it cannot be stopped"
            " safely.",
            "Use Linux 5.4 or later with /proc mounted.",
        )


def _memory(subject: str, size: int, max_memory: int | None) -> int | None:
    if size and max_memory is not None and size != max_memory:
        raise InvalidRequestError(
            f"{subject} got size {size} and max_memory {max_memory}, which mean the same; allowed: one of them.",
            "Leave one of them out.",
        )
    return size or max_memory


def _refusal(subject: str, launch: Launch, error: OSError) -> ResourceError:
    """Return the error to raise for what the system answered; only now is the time taken to find out why."""
    problem = f"{subject} cannot run {launch.program!r}: {error.strerror or error}."
    if error.errno in EXHAUSTED:
        return ResourceLimitError(problem, "Release processes or files, pass less, or raise the limit (ulimit -a).")
    if error.errno == errno.ENOEXEC:
        return ResourceUnavailableError(problem, "Begin the script with a line such as '#!/bin/sh'.")
    return diagnosis(subject, launch) or ResourceUnavailableError(problem, "Check that this user may run it.")
