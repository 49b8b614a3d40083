"""What there is outside of any process and stays when one dies: segments of shared memory, and control groups.

Other programs make such things too, at any time. So only those count of which it is known that this process or a forked
child has made them: it was heard of the creation, or has seen the segment among what the process has mapped or open.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

SEGMENTS = "/dev/shm"  # noqa: S108 - nothing is written there

_NOTES = "framework-witness"
_PLACES = {"os.link": (1, 3), "os.mkdir": (0, 2), "os.rename": (1, 3), "os.symlink": (1, 2)}
"""Where the arguments of an audit event say what is made, and in which directory."""


def look() -> None:
    """Note which segments this process has mapped or open now; C modules make some without telling anybody."""
    _witness.look()


def segments() -> set[str]:
    """Return the paths of the segments that there are of those known to be made by this process or a forked child."""
    look()
    return {path for path in _witness.known() if path.startswith(f"{SEGMENTS}/") and os.path.lexists(path)}


def groups() -> set[str]:
    """Return the paths of the control groups that there are of those made by this process or a forked child."""
    return {path for path in _witness.known() if not path.startswith(f"{SEGMENTS}/") and os.path.isdir(path)}


def is_notes(target: str) -> bool:
    """Return whether a descriptor that leads there is this module's own."""
    return target.startswith(f"/memfd:{_NOTES} ")


class _Witness:
    """Writes down what is made, from the first call on, where a killed child's parent can read it."""

    def __init__(self) -> None:
        self._notes: int | None = None
        self._mounts: tuple[str, ...] = ()

    def known(self) -> set[str]:
        """Return all that was noted."""
        notes = self._opened()
        if notes is None:
            return set()
        return set(os.fsdecode(os.pread(notes, os.fstat(notes).st_size, 0)).split("\0")) - {""}

    def look(self) -> None:
        """Note what this process has in its hands of shared memory."""
        held = {line.split(maxsplit=5)[-1].strip() for line in _read("/proc/self/maps").splitlines()}
        for number in _listed("/proc/self/fd"):
            with contextlib.suppress(OSError):  # that of the listing itself
                held.add(os.readlink(f"/proc/self/fd/{number}"))
        for path in {one for one in held if one.startswith(f"{SEGMENTS}/")} - self.known():
            self._note(path)

    def _opened(self) -> int | None:
        """Return the descriptor of the notes, which forked children share; nothing where there can be none."""
        if self._notes is None and hasattr(os, "memfd_create"):
            lines = [line.partition(" - ") for line in _read("/proc/self/mountinfo").splitlines()]
            groups = [head.split()[4] for head, _, tail in lines if tail.startswith("cgroup")]
            self._mounts = tuple(f"{one}/" for one in (SEGMENTS, *groups))
            self._notes = os.memfd_create(_NOTES)
            sys.addaudithook(self._hear)
        return self._notes

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if isinstance(path, str | bytes) and isinstance(flags, int) and flags & os.O_CREAT:
                self._note(os.fsdecode(path))
        elif event in _PLACES:
            name, directory = (args[index] for index in _PLACES[event])
            with contextlib.suppress(OSError):  # a folder too deep for a path, which none of the places is
                folder = "" if directory == -1 else os.readlink(f"/proc/self/fd/{directory}")
                self._note(os.path.join(folder, os.fsdecode(name)))

    def _note(self, path: str) -> None:
        if self._notes is not None and path.startswith(self._mounts):
            os.write(self._notes, os.fsencode(path) + b"\0")


_witness = _Witness()


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
