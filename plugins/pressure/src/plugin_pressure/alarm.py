"""`Alarm`: has the kernel end a wait early when memory gets short.

Version 1 of control groups reports when use crosses a threshold, by an eventfd (Documentation/admin-guide/cgroup-v1/
memory.rst). Version 2 and the machine report stalls, which may come too late (Documentation/accounting/psi.rst).
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Iterable
from typing import NamedTuple

from framework import limits
from framework.limits import Memory

NONE, USAGE, STALLS = "none", "usage", "stalls"
GAP = 0.01
"""Seconds between two looks at least, whatever is reported: use may swing around a threshold."""
_TRIGGER = b"some 150000 2000000\0"
"""Report 150 ms of stalls within 2 s, the shortest window that is allowed without privileges."""
_TOLERANCE = 50
"""Thresholds are set anew when they have moved by more than this part of the limit."""
_LONGEST = 1e6
"""Seconds; `poll` takes no more than 2 ** 31 ms."""
_SOON = 0.2
"""Seconds that are waited for a request to the kernel to end."""


class Request(NamedTuple):
    """What the kernel is asked to report: use of a group beyond so many bytes, or stalls where there are none."""

    source: str
    thresholds: tuple[int, ...]

    def is_like(self, other: Request, tolerance: int) -> bool:
        """Return whether it is not worth asking for one when the other is in force."""
        if self.source != other.source or len(self.thresholds) != len(other.thresholds):
            return False
        pairs = zip(self.thresholds, other.thresholds, strict=True)
        return all(abs(one - two) <= tolerance for one, two in pairs)


class Alarm:
    """Waits, until `ring` is called or the kernel reports. One thread arms and waits; any may ring.

    Asking for a threshold takes some 20 ms, in which memory may fill, so that is done in a thread of its own.
    """

    def __init__(self) -> None:
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)
        self._door, self._poll = select.poll(), select.poll()
        for one in (self._door, self._poll):
            one.register(self._ear, select.POLLIN)
        self._readings = limits.Files()
        self._asking: threading.Thread | None = None
        self._answer: tuple[int, str] = (-1, NONE)
        self._file = -1
        self._request = Request("", ())
        self._closed = False
        self.kind = NONE
        """What reports: `usage`, `stalls` or `none`."""

    def arm(self, memory: Memory, percents: Iterable[float]) -> bool:
        """Have the kernel report when use crosses one of these percents of the limit; return whether it surely will."""
        if self._asking is not None:
            if self._asking.is_alive():
                return False
            self._adopt()
        used = self._usage(memory.source)
        cache = max(0, used - memory.used)
        points = tuple(int(memory.limit * one / 100) + cache for one in percents) if used >= 0 else ()
        wanted = Request(memory.source, points)
        if not wanted.is_like(self._request, memory.limit // _TOLERANCE):
            self._request = wanted
            self._asking = threading.Thread(
                target=self._ask, args=(wanted,), name="framework-pressure-alarm", daemon=True
            )
            self._asking.start()
            return False
        # a group that is full of file pages stays at its limit, whoever uses more of it
        return self.kind == USAGE and all(one < memory.limit for one in wanted.thresholds)

    def wait(self, seconds: float) -> bool:
        """Return after so many seconds, or earlier; true if the kernel has reported."""
        left = max(0.0, min(seconds, _LONGEST) - GAP)
        ready = self._door.poll(GAP * 1000) or self._poll.poll(round(left * 1000))
        for file, _ in ready:
            with contextlib.suppress(BlockingIOError, OSError):  # a pressure file has nothing to read
                os.read(file, 4096 if file == self._ear else 8)
        return any(file != self._ear for file, _ in ready)

    def ring(self) -> None:
        """End the wait."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._mouth, b"!")

    def close(self) -> None:
        """Close everything; nobody may wait or ring any more."""
        if self._asking is not None:
            self._asking.join(_SOON)
            self._closed = True
            if not self._asking.is_alive():
                self._adopt()
        self._disarm()
        self._readings.close()
        os.close(self._ear)
        os.close(self._mouth)

    def _usage(self, group: str) -> int:
        """Return what a group of version 1 uses, file pages included; -1 for any other, and the machine."""
        word = b"" if group == limits.MACHINE else self._readings.read(f"{group}/memory.usage_in_bytes")
        return int(word) if word else -1

    def _ask(self, request: Request) -> None:
        """Ask the kernel; what it reports by is left for `_adopt`."""
        file, kind = _usage_event(request), USAGE
        if file < 0:
            file, kind = _stall_event(request.source), STALLS
        if file >= 0 and self._closed:
            os.close(file)
        else:
            self._answer = file, kind if file >= 0 else NONE

    def _adopt(self) -> None:
        """Wait for what was asked for last, instead of what was asked for before."""
        self._asking = None
        self._disarm()
        self._file, self.kind = self._answer
        self._answer = -1, NONE
        if self._file >= 0:
            self._poll.register(self._file, select.POLLIN if self.kind == USAGE else select.POLLPRI)

    def _disarm(self) -> None:
        if self._file >= 0:
            self._poll.unregister(self._file)
            os.close(self._file)
        self._file, self.kind = -1, NONE


def _usage_event(request: Request) -> int:
    """Return a descriptor that can be read when use has crossed a threshold; -1 where there is none to be had."""
    if not request.thresholds or not hasattr(os, "eventfd"):
        return -1
    event = -1
    with contextlib.ExitStack() as opened:
        try:
            control = os.open(f"{request.source}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
            opened.callback(os.close, control)
            usage = os.open(f"{request.source}/memory.usage_in_bytes", os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, usage)
            event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            for one in request.thresholds:
                os.write(control, b"%d %d %d" % (event, usage, one))
        except OSError:
            if event >= 0:
                os.close(event)
            return -1
    return event


def _stall_event(source: str) -> int:
    """Return a descriptor with priority data when work has waited for memory; -1 where there is none to be had."""
    place = "/proc/pressure/memory" if source == limits.MACHINE else f"{source}/memory.pressure"
    try:
        file = os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        os.write(file, _TRIGGER)
    except OSError:
        os.close(file)
        return -1
    return file
