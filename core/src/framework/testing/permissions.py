"""`Recorder`: the permissions that a plugin makes use of between two moments.

It collects the audit events that need one, and looks at what C modules made without any. An audit hook cannot be
removed, so there is one for the process, which does nothing while no recorder is active. It sees this process only:
what a child does stays unseen. This is an observation, never a sandbox.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

from framework.audit import EVENTS, PERMISSIONS, SHARED, recognised
from framework.testing.traces import child_processes

__all__ = ["PERMISSIONS", "Recorder", "recognised"]

_SEMAPHORES = "/dev/shm/sem."  # noqa: S108 - how multiprocessing locks; nobody else gets in
_HEARD = {one.partition(".")[0] for one in EVENTS}
_HARNESS = {"framework", "_pytest", "coverage", "execnet", "pluggy", "pytest"}
"""Packages whose own doings are not the plugin's."""


_busy = threading.local()


class Recorder:
    """Collects, while it is entered, what is done in this process that needs a permission.

    Args:
        temporary: Folders in which everybody may write, besides the one for temporary files.
    """

    _active: ClassVar[Recorder | None] = None
    _hooked: ClassVar[bool] = False

    def __init__(self, *temporary: str) -> None:
        self._temporary = [os.path.realpath(one) for one in (tempfile.gettempdir(), *temporary)]
        self._children: set[int] = set()
        self._segments: set[str] = set()
        self.seen: dict[str, set[str]] = {}
        """Events by the permission that they need, each with its arguments."""

    def beyond(self, declared: Iterable[str]) -> dict[str, list[str]]:
        """Return what was seen and is not covered by the permissions declared."""
        return {name: sorted(events) for name, events in self.seen.items() if name not in set(declared)}

    def look(self) -> None:
        """Note what is there now and raised no event: children, and shared memory, as C modules make them."""
        for child in child_processes() - self._children:
            self.seen.setdefault("processes", set()).add(f"child process {child}")
        for segment in _mapped() - self._segments:
            self.seen.setdefault("shared-memory", set()).add(f"mapped {segment}")

    def __enter__(self) -> Self:
        self._children, self._segments = child_processes(), _mapped()
        if not Recorder._hooked:
            sys.addaudithook(_hear)
            Recorder._hooked = True
        Recorder._active = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        Recorder._active = None

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Remember an event if it needs a permission and is not the doing of the kernel or of the test runner."""
        permission = recognised(event, args, self._temporary)
        if permission and _culprit(sys._getframe(2)) not in _HARNESS:
            shown = ", ".join(repr(one)[:80] for one in args[:2])
            self.seen.setdefault(permission, set()).add(f"{event}({shown})")


def _hear(event: str, args: tuple[Any, ...]) -> None:
    recorder = Recorder._active
    if recorder is None or event.partition(".")[0] not in _HEARD or getattr(_busy, "yes", False):
        return
    _busy.yes = True  # what recording itself does is not recorded
    try:
        recorder.note(event, args)
    finally:
        _busy.yes = False


def _mapped() -> set[str]:
    """Return the shared memory that this process has mapped; empty where that cannot be read."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            return {line.split(maxsplit=5)[-1].strip() for line in file if SHARED in line and _SEMAPHORES not in line}
    except OSError:
        return set()


def _culprit(frame: FrameType | None) -> str:
    """Return the package of the innermost caller outside the standard library; nothing where there is none."""
    while frame is not None:
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top and top != "__main__" and top not in sys.stdlib_module_names and not top.startswith("_frozen"):
            return top
        frame = frame.f_back
    return ""
