"""`ControlGroup`: what one child and all that it starts are kept in, with the limits that hold for them together."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator

from plugin_process.hierarchies import Place, read, write

PERIOD = 100_000
"""Microseconds over which processor time is counted; the system's own default."""

PATIENCE = 0.25
"""Seconds that the system may take to see that a group whose members have ended is empty."""


class ControlGroup:
    """A control group: one directory in each hierarchy that has a limit to set, and one of version 2 if there is any.

    Args:
        name: What the directories are called; it contains the lease's token.
        places: Where they are made, by controller.
    """

    def __init__(self, name: str, places: dict[str, Place]) -> None:
        self._unified = {os.path.join(place.parent, name): place.unified for place in places.values()}
        self._directory = {one: os.path.join(place.parent, name) for one, place in places.items()}
        self._made: list[str] = []

    @property
    def directories(self) -> list[str]:
        """The directories that it consists of once it is made."""
        return list(self._unified)

    def has(self, controller: str) -> bool:
        """Return whether a limit of a controller can be set."""
        return self._directory.get(controller) in self._made

    def make(self, directory: str) -> None:
        """Make one of the directories; one that cannot be made is done without."""
        with contextlib.suppress(OSError):
            os.mkdir(directory, 0o755)
            self._made.append(directory)

    def limit(self, controller: str, value: float) -> tuple[str, float]:
        """Set a limit: bytes of `memory`, processors of `cpu`, or a number of tasks for `pids`.

        Returns:
            What enforces it, and what the system made of the value.

        Raises:
            OSError: The system does not take it.
        """
        if not self.has(controller):
            raise OSError(errno.ENOTSUP, f"no control group for {controller} can be made")
        directory = self._directory[controller]
        unified = self._unified[directory]
        for name, text, required in _settings(controller, value, unified=unified):
            try:
                write(os.path.join(directory, name), text)
            except OSError:
                if required:
                    raise
        return f"cgroup{2 if unified else 1}", value

    def join(self, number: int) -> None:
        """Put a process into it; a hierarchy that does not take it is done without from then on."""
        for directory in list(self._made):
            try:
                write(os.path.join(directory, "cgroup.procs"), str(number))
            except OSError:
                os.rmdir(directory)
                self._made.remove(directory)

    def members(self) -> set[int]:
        """Return the numbers of all processes in it, and in groups that they made in it; some may have ended."""
        found: set[int] = set()
        for directory in self._made:
            for one in _with_inner(directory):
                found.update(map(int, read(os.path.join(one, "cgroup.procs")).split()))
        return found - {0}  # those that cannot be seen from here

    def kill(self) -> None:
        """Kill all members at once where the system can; else let them start no others, before they get signals."""
        for directory in self._made:
            if self._unified[directory]:
                with contextlib.suppress(OSError):  # before Linux 5.14
                    write(os.path.join(directory, "cgroup.kill"), "1")
        if self.has("pids") and self.members():
            with contextlib.suppress(OSError):
                write(os.path.join(self._directory["pids"], "pids.max"), "0")

    def out_of_memory(self) -> int:
        """Return how many members were killed because the group's memory was used up."""
        directory = self._directory.get("memory", "")
        if directory not in self._made:
            return 0
        name = "memory.events" if self._unified[directory] else "memory.oom_control"
        counts = dict(line.split() for line in read(os.path.join(directory, name)).splitlines())
        return int(counts.get("oom_kill", 0))

    def peak(self) -> int | None:
        """Return the most bytes of memory that all members had at once; None where that is not known."""
        directory = self._directory.get("memory", "")
        if directory not in self._made:
            return None
        name = "memory.peak" if self._unified[directory] else "memory.max_usage_in_bytes"
        return int(read(os.path.join(directory, name)) or 0) or None

    def remove(self) -> None:
        """Remove it with the groups that members made in it, once all have ended; removing again does nothing.

        Raises:
            OSError: A directory cannot be removed.
        """
        for directory in list(self._made):
            for one in _with_inner(directory):
                _remove(one)
            self._made.remove(directory)


def _settings(controller: str, value: float, *, unified: bool) -> list[tuple[str, str, bool]]:
    """Return the files to write, what to write, and whether the limit depends on it."""
    if controller == "memory":
        text = str(int(value))
        if unified:
            return [("memory.max", text, True), ("memory.swap.max", "0", False), ("memory.oom.group", "1", False)]
        # the second one includes swap, and is only there where that is counted
        return [("memory.limit_in_bytes", text, True), ("memory.memsw.limit_in_bytes", text, False)]
    if controller == "cpu":
        quota = str(max(int(value * PERIOD), 1000))  # the least that the system takes
        if unified:
            return [("cpu.max", f"{quota} {PERIOD}", True)]
        return [("cpu.cfs_period_us", str(PERIOD), True), ("cpu.cfs_quota_us", quota, True)]
    return [("pids.max", str(int(value)), True)]


def _with_inner(directory: str) -> Iterator[str]:
    """Yield a group's directory and those of all groups inside it, the innermost first."""
    return (place for place, _, _ in os.walk(directory, topdown=False))


def _remove(directory: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            # the last member is gone from the list a moment before it is gone from the group
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            os.sched_yield()
        else:
            return
