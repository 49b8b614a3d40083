"""`LocalProcess`: a child process of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

from framework import Resource, Usage
from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from plugin_process.child import Child
from plugin_process.input import Input
from plugin_process.limits import Limit
from plugin_process.output import Capture, Output
from plugin_process.settings import ProcessSettings
from plugin_process.usage import ResourceUse

KILL_WAIT = 5.0
"""Seconds that what was killed may take to vanish; only a process stuck in the system takes longer."""

READ_AFTER = 0.01
"""Seconds after which the outputs are read as they come. A child that ends before never needs that: what it wrote is
taken from the pipes at its end."""


class LocalProcess(Resource):
    """A child process, and everything it starts. Releasing it stops them all.

    Its status is `busy` while it runs, `available` once it ended with 0, and `error` once it ended otherwise.

    Args:
        child: The started child, which the resource now owns.
        command: The program that was asked for; the shell, if one reads the command.
        subject: What this is, for messages.
        settings: How long it may take to stop, and how much is kept of each output.
        limits: How each limit that was asked for is enforced.
        on_end: Called once, when the child was reaped, so that all is known of it.
    """

    def __init__(
        self,
        child: Child,
        command: str,
        subject: str,
        settings: ProcessSettings,
        limits: Mapping[str, Limit],
        on_end: Callable[[ResourceUse | None, bool], None],
    ) -> None:
        self.pid = child.pid
        self.command = command
        self.returncode: int | None = None
        self.limits = MappingProxyType(dict(limits))
        self.out_of_memory = False
        self._child = child
        self._subject = subject
        self._grace = settings.stop_grace
        self._on_end = on_end
        self._stop_by: float | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            pipes, kept = (child.stdout, child.stderr), settings.output_limit
            self._captures = [Capture(one, kept) if one else None for one in pipes]
            self.stdin = Input(child.stdin, subject) if child.stdin else None
            # weakly, because the loop must not keep what nobody else refers to any more
            self._loop.add_reader(child.descriptor, _weakly, weakref.WeakMethod(self._take_note_of_end))
        except BaseException:
            child.discard()
            raise
        self._reading = self._loop.call_later(READ_AFTER, _weakly, weakref.WeakMethod(self._start_reading))
        self._loop.call_soon(self._mark, Usage.BUSY)  # it has no lease yet

    @property
    def resource_use(self) -> ResourceUse | None:
        """What the child used; None while it runs or has left something running, and if somebody else reaped it."""
        return self._child.use

    @property
    def cause(self) -> str:
        """Why it ended, in words; empty while it runs."""
        code = self.returncode
        if code is None:
            return ""
        if self.out_of_memory:
            return f"out of memory (limit {_in_units(int(self.limits['max_memory'].value))})"
        if code >= 0:
            return f"exit {code}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

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
        """Wait until the child has ended and return what it wrote, as far as that is captured.

        Args:
            timeout: Seconds to wait; for ever when None.

        Raises:
            ResourceUnavailableError: It still runs.
        """
        await self.wait(timeout)
        stdout, stderr = (bytes(one.tail.kept) if one else b"" for one in self._captures)
        return Output(stdout, stderr, any(one is not None and one.tail.dropped for one in self._captures))

    def lines(self) -> AsyncIterator[bytes]:
        """Yield each line of its standard output as it comes, from the first one kept, until it has ended.

        Raises:
            InvalidRequestError: Its standard output is not captured.
        """
        capture = self._captures[0]
        if capture is None:
            raise InvalidRequestError(
                f"{self._subject} does not capture its standard output, so there are no lines of it.",
                "Ask for stdout='capture', the default.",
                resource=self.name,
            )
        return self._lines(capture)

    def terminate(self) -> None:
        """Ask the child and all that it started to end (SIGTERM); nothing happens once they have."""
        self._child.signal_all(signal.SIGTERM)
        self._child.signal_all(signal.SIGCONT)  # a stopped one could not react

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
        if self._stop_by is None and self._child.descriptor >= 0:
            self._stop_by = self._loop.time() + self._grace
            self.terminate()

    def _close(self) -> Awaitable[None] | None:
        if self._child.descriptor < 0 and self._child.group is None:  # ended, and left nobody behind
            self._forget_child()
            return None
        return self._stop()

    async def _lines(self, capture: Capture) -> AsyncIterator[bytes]:
        async for line in capture.lines():  # a generator of this one's own, so that whoever reads keeps it
            yield line

    async def _stop(self) -> None:
        if self.returncode is None and self._child.descriptor >= 0:
            self._loop.add_reader(
                self._child.descriptor, self._take_note_of_end
            )  # nobody else may refer to it any more
        try:
            gone = (self.returncode is not None and self._child.is_alone()) or await self._is_stopped()
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

    async def _is_stopped(self) -> bool:
        self.request_stop()
        if await self._is_gone_by(self._stop_by or 0):
            return True
        self._child.signal_all(signal.SIGKILL)
        return await self._is_gone_by(self._loop.time() + KILL_WAIT, number=signal.SIGKILL)

    async def _is_gone_by(self, deadline: float, number: int = 0) -> bool:
        """Wait for all to end; members found on the way are sent a signal if there is one to send."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
                while (survivor := self._child.survivor()) is not None:
                    try:
                        if number:
                            self._child.signal_all(number)
                        await _readable(self._loop, survivor)
                    finally:
                        os.close(survivor)
        except TimeoutError:
            return False
        return True

    def _start_reading(self) -> None:
        for capture in self._captures:
            if capture is not None:
                capture.start()

    def _take_note_of_end(self) -> None:
        code = self._child.code()
        if code is None:
            return
        self._loop.remove_reader(self._child.descriptor)
        self.returncode = code
        self._take_outputs()
        group = self._child.group
        self.out_of_memory = bool(code and group is not None and group.out_of_memory())
        with contextlib.suppress(OSError):  # no descriptor left to look with, or the group is not empty yet: later
            if self._child.is_alone():
                self._reap()
                self._close_outputs()
        self._mark(Usage.ERROR if code else Usage.AVAILABLE)
        self._ended.set()

    def _take_outputs(self) -> None:
        for capture in self._captures:
            if capture is not None:
                capture.finish()

    def _close_outputs(self) -> None:
        self._reading.cancel()
        for capture in self._captures:
            if capture is not None:
                capture.close()

    def _forget_child(self) -> None:
        self._close_outputs()
        if self.stdin is not None:
            self.stdin.close()
        try:
            self._reap()
        except OSError as error:
            raise self._remains(f"has a control group that cannot be removed: {error.strerror or error}") from error

    def _reap(self) -> None:
        first = self._child.descriptor >= 0
        try:
            self._child.reap()
        finally:
            if first:
                self._on_end(self._child.use, self.out_of_memory)

    def _mark(self, usage: Usage) -> None:
        if self.is_allocated() and (usage is not Usage.BUSY or self.returncode is None):
            self.mark(usage)


def _weakly(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    found = method()
    if found is not None:
        found()


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def _in_units(size: int) -> str:
    """Return a size in the largest unit that divides it."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size % 1024 or unit == "GiB":
            break
        size //= 1024
    return f"{size} {unit}"
