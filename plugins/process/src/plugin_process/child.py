"""`Child`: a started program that leads its own session, and everything in that session or in its control group.

A number of a process is only sure to be that process' while nobody has reaped it. So the end of the child is observed
without reaping it (`WNOWAIT`), and it is reaped once nothing is left that would have to be found by its number.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import socket
import subprocess
from typing import cast

from plugin_process import gate
from plugin_process.command import Launch, surroundings
from plugin_process.group import ControlGroup
from plugin_process.usage import ResourceUse

UNKNOWN_CODE = 255
"""Return code of a child that somebody else reaped, so that its own is lost; asyncio uses the same one."""


class Child:
    """A child process. Made by `spawn`; `reap` ends it.

    Args:
        popen: The started child, leader of a new session.
        descriptor: Its pidfd, which the child now owns; readable once the child has ended.
        group: The control group that it is kept in, if any, which the child now owns.
    """

    def __init__(self, popen: subprocess.Popen[bytes], descriptor: int, group: ControlGroup | None = None) -> None:
        self.descriptor = descriptor
        self.group = group
        self.pid = popen.pid
        self.stdin = cast("io.FileIO | None", popen.stdin)
        self.stdout = cast("io.FileIO | None", popen.stdout)
        self.stderr = cast("io.FileIO | None", popen.stderr)
        self.use: ResourceUse | None = None
        self._ours = True
        self._parent = os.getpid()
        popen.returncode = UNKNOWN_CODE  # without one it would wait by number once it is deleted

    def code(self) -> int | None:
        """Return the code that the child ended with, negative for a signal; None while it runs."""
        if not self._ours:
            return UNKNOWN_CODE
        try:
            # by descriptor: the number would be a stranger's as soon as somebody else has reaped the child
            ended = os.waitid(os.P_PIDFD, self.descriptor, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            self._ours = False
            return UNKNOWN_CODE
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def send_signal(self, number: int) -> None:
        """Send a signal to the child alone; nothing happens once it has ended.

        Raises:
            OSError: There is no such signal.
        """
        if self.descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.descriptor, number)

    def signal_all(self, number: int) -> None:
        """Send a signal to the child and all that it started, wherever in its session or its group they are.

        Nothing happens in a process that was forked meanwhile: the child is not its own.
        """
        if self._parent != os.getpid():
            return
        if self._is_ours():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)  # at once for all of these, so that none escapes by forking
        if self.group is not None and number == signal.SIGKILL:
            self.group.kill()
        for member in self._members():
            if self.group is not None or _group(member) != self.pid:
                self._signal(member, number)

    def survivor(self) -> int | None:
        """Return the pidfd, now the caller's, of a living process that the child has left behind."""
        return next((found for member in self._members() if (found := self._open(member)) is not None), None)

    def is_alone(self) -> bool:
        """Return whether the child has left nobody behind."""
        survivor = self.survivor()
        if survivor is not None:
            os.close(survivor)
        return survivor is None

    def reap(self) -> None:
        """Give the child's number back, waiting for its end if need be, and its group. Reaping again does nothing.

        Raises:
            OSError: The control group cannot be removed; everything else is done.
        """
        if self.descriptor >= 0:
            if self._has_ended():
                with contextlib.suppress(ChildProcessError):
                    used = os.wait4(self.pid, 0)[2]
                    self.use = ResourceUse.of(used, self.group.peak() if self.group else None)
            os.close(self.descriptor)
            self.descriptor = -1
            self._ours = False
        if self.group is not None:
            self.group.remove()
            self.group = None

    def discard(self) -> None:
        """Kill and reap a child that cannot be kept."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        if self.descriptor >= 0:
            self.signal_all(signal.SIGKILL)
        with contextlib.suppress(OSError):  # what is left in the group has been killed; the journal knows of the rest
            self.reap()

    def _has_ended(self) -> bool:
        """Wait for the end, and return whether the child is still there to be reaped."""
        try:
            os.waitid(os.P_PIDFD, self.descriptor, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _is_ours(self) -> bool:
        """Return whether the child's number is still the child's, because nobody has reaped it."""
        if self.descriptor >= 0:
            self.code()
        return self._ours

    def _members(self) -> set[int]:
        """Return the numbers that those have whom the child has started; some may have ended."""
        if self.group is not None:
            return self.group.members() - {self.pid}
        if not self._is_ours() or self._is_newest():
            return set()
        numbers = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        return {one for one in numbers if one != self.pid and self._is_member(one)}

    def _is_newest(self) -> bool:
        """Return whether nothing at all was started since the child; then it cannot have left anyone behind.

        Its own number is in use, so it cannot have been given out again. This spares most short-lived children the
        scan of /proc, which is the largest part of their cost.
        """
        descriptor = os.open("/proc/loadavg", os.O_RDONLY)
        try:
            return int(os.read(descriptor, 128).split()[-1]) == self.pid
        finally:
            os.close(descriptor)

    def _is_member(self, number: int) -> bool:
        if self.group is not None:
            return number in self.group.members()
        try:
            return os.getsid(number) == self.pid
        except (ProcessLookupError, PermissionError):
            return False

    def _open(self, number: int) -> int | None:
        """Return the pidfd of a living member, None when it has ended."""
        try:
            descriptor = os.pidfd_open(number)
        except ProcessLookupError:
            return None
        # asked again, because the number may have changed hands before the pidfd fixed it
        if self._is_member(number) and not has_ended(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def _signal(self, member: int, number: int) -> None:
        descriptor = self._open(member)
        if descriptor is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, number)
            os.close(descriptor)


def spawn(launch: Launch) -> Child:
    """Start a program, leading its own session.

    Raises:
        OSError: The system refused; nothing was left behind.
    """
    return _started(launch.words, launch, launch.variables(), path=launch.path)


def spawn_gated(launch: Launch, group: ControlGroup) -> tuple[Child, socket.socket]:
    """Start a gate in place of a program; the child owns the group, the caller the socket that opens the gate.

    Raises:
        OSError: The system refused; nothing was left behind but the group.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            # the gate needs this process' own surroundings, and its rights: another user may not reach the interpreter
            variables = launch.marked(surroundings())
            child = _started(gate.command(theirs.fileno()), launch, variables, link=theirs.fileno())
    except BaseException:
        ours.close()
        raise
    child.group = group
    return child, ours


def _started(
    command: list[str],
    launch: Launch,
    variables: dict[bytes, bytes],
    *,
    path: str | None = None,
    link: int | None = None,
) -> Child:
    user, group, groups = launch.identity if launch.identity and link is None else (None, None, None)
    source = _source(launch.stdin)
    try:
        popen = subprocess.Popen(
            command,
            executable=path,
            env=variables,
            cwd=launch.directory,
            stdin=source,
            stdout=_SINKS[launch.stdout],
            stderr=_SINKS[launch.stderr],
            bufsize=0,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=groups,
            pass_fds=() if link is None else (link,),
        )
    finally:
        if isinstance(launch.stdin, bytes) and source is not None:
            os.close(source)
    try:
        return Child(popen, os.pidfd_open(popen.pid))
    except BaseException:
        # not reaped yet, so the number is still the child's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            if pipe is not None:
                pipe.close()
        raise


_SINKS = {
    "capture": subprocess.PIPE,
    "inherit": None,
    "discard": subprocess.DEVNULL,
    "stdout": subprocess.STDOUT,
}
"""What `subprocess` calls the places where an output may go."""


def _source(stdin: bytes | str | None) -> int | None:
    """Return what a child reads from, as `subprocess` calls it; the caller closes what holds bytes."""
    if not isinstance(stdin, bytes):
        return {None: subprocess.DEVNULL, "pipe": subprocess.PIPE, "inherit": None}[stdin]
    # a file, unlike a pipe, takes any amount without anyone feeding it; this one has no name to be left over
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        rest = memoryview(stdin)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def has_ended(descriptor: int) -> bool:
    """Return whether the process of a pidfd has ended, reaped or not."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _group(number: int) -> int:
    try:
        return os.getpgid(number)
    except (ProcessLookupError, PermissionError):
        return 0
