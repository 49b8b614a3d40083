"""`LocalProcess`: a child process of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable

from framework import Resource, Usage
from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from plugin_process.child import Child
from plugin_process.output import Capture, Output

KILL_WAIT = 5.0
"""Seconds that what was killed may take to vanish; only a process stuck in the system takes longer."""


class LocalProcess(Resource):
    """A child process, and everything it starts. Releasing it stops them all.

    Its status is `busy` while it runs, `available` once it ended with 0, and `error` once it ended otherwise.

    Args:
        child: The started child, which the resource now owns.
        command: What was asked for.
        subject: What this is, for messages.
        grace: Seconds between SIGTERM and SIGKILL.
        output_limit: Bytes kept of each output.
        on_close: Called once, when the child was reaped.
    """

    def __init__(
        self, child: Child, command: str, subject: str, grace: float, output_limit: int, on_close: Callable[[], None]
    ) -> None:
        self.pid = child.pid
        self.command = command
        self.returncode: int | None = None
        self._child = child
        self._subject = subject
        self._grace = grace
        self._on_close = on_close
        self._stop_by: float | None = None
        self._closed = False
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as undo:
            undo.callback(child.discard)
            self._stdout = Capture(child.stdout, output_limit)
            undo.callback(self._stdout.close)
            self._stderr = Capture(child.stderr, output_limit)
            undo.callback(self._stderr.close)
            self._loop.add_reader(child.descriptor, self._take_note_of_end)
            undo.pop_all()
        self._loop.call_soon(self._mark, Usage.BUSY)  # it has no lease yet

    async def wait(self, timeout: float | None = None) -> int:
        """Wait until the child has ended and return its code, negative for a signal.

        What it started in the background may still run.

        Args:
            timeout: Seconds to wait; for ever when None.

        Raises:
            ResourceUnavailableError: It still runs.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            raise ResourceUnavailableError(
                f"{self._subject} ({self.command!r}, pid {self.pid}) still runs after {timeout:g} s.",
                "Wait longer, call terminate(), or release it.",
                resource=self.name,
            ) from None
        assert self.returncode is not None  # noqa: S101 - set before the event; tells mypy
        return self.returncode

    async def output(self, timeout: float | None = None) -> Output:
        """Wait until the child has ended and return what it wrote.

        Args:
            timeout: Seconds to wait; for ever when None.

        Raises:
            ResourceUnavailableError: It still runs.
        """
        await self.wait(timeout)
        stdout, stderr = self._stdout.tail, self._stderr.tail
        return Output(bytes(stdout.kept), bytes(stderr.kept), bool(stdout.dropped or stderr.dropped))

    def lines(self) -> AsyncIterator[bytes]:
        """Yield each line of its standard output as it comes, from the first one kept, until it has ended."""
        return self._stdout.lines()

    def terminate(self) -> None:
        """Ask the child and all that it started to end (SIGTERM); nothing happens once they have."""
        self._child.signal_session(signal.SIGTERM)
        self._child.signal_session(signal.SIGCONT)  # a stopped one could not react

    def send_signal(self, number: int) -> None:
        """Send a signal to the child alone; nothing happens once it has ended.

        Raises:
            InvalidRequestError: There is no such signal.
        """
        try:
            self._child.send_signal(number)
        except PermissionError as error:
            raise ResourceError(
                f"{self._subject} ({self.command!r}, pid {self.pid}) took another user's rights and gets no signal.",
                "Let that user end it.",
                resource=self.name,
            ) from error
        except (OSError, OverflowError) as error:
            raise InvalidRequestError(
                f"{self._subject} was to be sent the signal {number}, which there is not.",
                "Use a member of signal.Signals.",
                resource=self.name,
            ) from error

    def request_stop(self) -> None:
        """Begin to stop, without waiting: what still runs when the grace period is over is killed by the release."""
        if self._stop_by is None:
            self._stop_by = self._loop.time() + self._grace
            self.terminate()

    async def _close(self) -> None:
        try:
            gone = self._is_alone() or await self._is_stopped()
        except OSError as error:  # no descriptor left to look with
            raise self._remains(f"cannot be seen to have ended: {error.strerror or error}") from error
        if not gone:
            raise self._remains(f"still runs, or has left something running, {KILL_WAIT:g} s after SIGKILL")
        self._forget_child()

    def _remains(self, why: str) -> ResourceError:
        return ResourceError(
            f"{self._subject} ({self.command!r}, pid {self.pid}) {why}.",
            "It stays in the ledger as quarantined; call release() again to retry.",
            resource=self.name,
        )

    def _is_alone(self) -> bool:
        """Return whether the child has ended and left nobody behind."""
        if self.returncode is None:
            return False
        survivor = self._child.survivor()
        if survivor is not None:
            os.close(survivor)
        return survivor is None

    async def _is_stopped(self) -> bool:
        self.request_stop()
        if await self._is_gone_by(self._stop_by or 0):
            return True
        self._child.signal_session(signal.SIGKILL)
        return await self._is_gone_by(self._loop.time() + KILL_WAIT, number=signal.SIGKILL)

    async def _is_gone_by(self, deadline: float, number: int = 0) -> bool:
        """Wait for the whole session to end; members found on the way are sent a signal if there is one to send."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
                while (survivor := self._child.survivor()) is not None:
                    try:
                        if number:
                            self._child.signal_session(number)
                        await _readable(self._loop, survivor)
                    finally:
                        os.close(survivor)
        except TimeoutError:
            return False
        return True

    def _take_note_of_end(self) -> None:
        code = self._child.code()
        if code is None:
            return
        self._loop.remove_reader(self._child.descriptor)
        self.returncode = code
        self._stdout.finish()
        self._stderr.finish()
        self._mark(Usage.ERROR if code else Usage.AVAILABLE)
        self._ended.set()

    def _forget_child(self) -> None:
        if not self._closed:
            self._closed = True
            self._stdout.close()
            self._stderr.close()
            self._child.reap()
            self._on_close()

    def _mark(self, usage: Usage) -> None:
        if self.is_allocated() and (usage is not Usage.BUSY or self.returncode is None):
            self.mark(usage)


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
