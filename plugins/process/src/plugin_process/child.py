"""`Child`: a started program that leads its own session, and everything in that session.

A number of a process is only sure to be that process' while nobody has reaped it. So the end of the child is observed
without reaping it (`WNOWAIT`), its session is stopped while its number is still held, and it is reaped last.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import subprocess
import tempfile
from typing import cast

from plugin_process.command import Launch

UNKNOWN_CODE = 255
"""Return code of a child that somebody else reaped, so that its own is lost; asyncio uses the same one."""


class Child:
    """A child process. Made by `spawn`; `reap` ends it.

    Args:
        popen: The started child, leader of a new session.
        descriptor: Its pidfd, which the child now owns; readable once the child has ended.
    """

    def __init__(self, popen: subprocess.Popen[bytes], descriptor: int) -> None:
        self._popen = popen
        self.descriptor = descriptor
        self.pid = popen.pid
        self.stdout = cast("io.FileIO", popen.stdout)
        self.stderr = cast("io.FileIO", popen.stderr)
        self._ours = True

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

    def signal_session(self, number: int) -> None:
        """Send a signal to the child and all that it started, wherever in its session they are."""
        if not self._is_ours():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)  # at once for the whole group, so that none escapes by forking
        for member in self._members(outside_group=True):
            descriptor = self._open(member)
            if descriptor is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(descriptor, number)
                os.close(descriptor)

    def survivor(self) -> int | None:
        """Return the pidfd, now the caller's, of a living member of the session other than the child itself."""
        return next((found for member in self._members() if (found := self._open(member)) is not None), None)

    def reap(self) -> None:
        """Give the child's number back, waiting for its end if need be. Reaping again does nothing."""
        if self.descriptor >= 0:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.descriptor, os.WEXITED)
            self._popen.returncode = UNKNOWN_CODE  # without one it would wait by number once it is deleted
            os.close(self.descriptor)
            self.descriptor = -1
            self._ours = False

    def discard(self) -> None:
        """Kill and reap a child that cannot be kept."""
        if self.descriptor >= 0:
            self.signal_session(signal.SIGKILL)
        self.reap()
        self.stdout.close()
        self.stderr.close()

    def _is_ours(self) -> bool:
        """Return whether the child's number is still the child's, because nobody has reaped it."""
        self.code()
        return self._ours

    def _members(self, *, outside_group: bool = False) -> list[int]:
        """Return the numbers that the members of the session have, but for the child itself; some may have ended."""
        if not self._is_ours() or self._is_newest():
            return []
        numbers = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        found = [one for one in numbers if self._is_member(one) and one != self.pid]
        return [one for one in found if _group(one) != self.pid] if outside_group else found

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


def spawn(launch: Launch) -> Child:
    """Start a program without a shell, leading its own session, its outputs in pipes.

    Raises:
        OSError: The system refused; nothing was left behind.
    """
    with contextlib.ExitStack() as stack:
        source: int | io.BufferedRandom = subprocess.DEVNULL
        if launch.stdin is not None:
            # a file, unlike a pipe, takes any amount without anyone feeding it
            source = stack.enter_context(tempfile.TemporaryFile())
            source.write(launch.stdin)
            source.seek(0)
        popen = subprocess.Popen(
            [launch.command, *launch.arguments],
            executable=launch.path,
            env=launch.variables,
            cwd=launch.directory,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    try:
        return Child(popen, os.pidfd_open(popen.pid))
    except BaseException:
        # not reaped yet, so the number is still the child's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        for pipe in (popen.stdout, popen.stderr):
            cast("io.FileIO", pipe).close()
        raise


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
