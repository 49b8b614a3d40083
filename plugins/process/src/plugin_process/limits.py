"""`Limits`, what a child may use, and how each is enforced: by a control group, by the limits of a process, or not."""

from __future__ import annotations

import errno
import os
import platform
import resource
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Self

from framework.errors import InvalidRequestError
from plugin_process.group import ControlGroup

CONTROLLERS = {"max_memory": "memory", "max_cpu": "cpu", "pids": "pids"}
"""The controller of each limit that a control group can enforce."""

PRIORITIES = {"realtime": 1, "best-effort": 2, "idle": 3}
"""The classes of priorities for input and output, as the system counts them."""

IOPRIO_SET = {
    "aarch64": 30, "armv7l": 314, "i386": 289, "i686": 289, "loongarch64": 30, "ppc64le": 273, "riscv64": 30,
    "s390x": 282, "x86_64": 251,
}  # fmt: skip
"""The number of the system call, which no library of C has a function for."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How one limit is enforced.

    Args:
        mechanism: `cgroup2` or `cgroup1`, for the child and all that it starts together; `rlimit`, for each of these
            processes, or for all of their user in the case of `pids`; `affinity`, `nice` or `ioprio`, inherited by what
            the child starts; `none`.
        value: What is enforced: bytes, processors, tasks, descriptors, or a priority.
        reason: Why nothing better could be had; empty when nothing better was looked for.
    """

    mechanism: str
    value: float | str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use; None is no limit. The names are those of a request's parameters."""

    max_memory: int | None = None
    max_cpu: float | None = None
    pids: int | None = None
    files: int | None = None
    io_priority: str | None = None
    nice: int | None = None

    def asked(self) -> dict[str, float | str]:
        """Return the limits that there are."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def check(self, subject: str) -> Self:
        """Return them, or refuse what cannot be meant.

        Raises:
            InvalidRequestError: A value is out of range.
        """
        for name, least, most in (
            ("max_memory", 4096, 1 << 62),
            ("max_cpu", 0.01, 1 << 20),
            ("pids", 1, 1 << 22),
            ("files", 3, 1 << 30),
            ("nice", -20, 19),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidRequestError(f"{subject} got {name}={value!r}; allowed: {least:g} to {most:g}.")
        if self.io_priority is not None and _priority(self.io_priority) is None:
            raise InvalidRequestError(
                f"{subject} got io_priority={self.io_priority!r}; allowed: 'idle', or 'best-effort' or 'realtime' with"
                " a level from 0, the highest, to 7, as in 'best-effort:7'."
            )
        return self


UNLIMITED = Limits()


def enforce(limits: Limits, number: int, user: int, group: ControlGroup) -> dict[str, Limit]:
    """Put limits on a process that has not run anything of the child's yet, and return how each is enforced.

    Args:
        limits: What is asked for.
        number: The process; it is ours, and not reaped.
        user: Who it will run as.
        group: Where it is kept.
    """
    return {name: _enforced(name, value, number, user, group) for name, value in limits.asked().items()}


def _enforced(name: str, value: float | str, number: int, user: int, group: ControlGroup) -> Limit:
    reasons = []
    for attempt in _attempts(name, value, number, user, group):
        try:
            mechanism, effective = attempt()
        except (OSError, ValueError) as error:
            reasons.append(getattr(error, "strerror", None) or str(error))
        else:
            return Limit(mechanism, effective, "; ".join(reasons))
    return Limit("none", value, "; ".join(reasons))


def _attempts(
    name: str, value: float | str, number: int, user: int, group: ControlGroup
) -> Iterator[Callable[[], tuple[str, float | str]]]:
    """Yield what to try, best first."""
    if isinstance(value, str):
        yield lambda: _set_priority(number, value)
        return
    if name in CONTROLLERS:
        yield lambda: group.limit(CONTROLLERS[name], value)
    if name == "max_memory":
        yield lambda: _rlimit(number, resource.RLIMIT_AS, int(value))
    elif name == "max_cpu":
        yield lambda: _affinity(number, value)
    elif name == "pids":
        yield lambda: _rlimit(number, resource.RLIMIT_NPROC, _room_for(int(value), user))
    elif name == "files":
        yield lambda: _rlimit(number, resource.RLIMIT_NOFILE, int(value))
    else:
        yield lambda: _nice(number, int(value))


def _rlimit(number: int, what: int, value: int) -> tuple[str, int]:
    """Set both the limit and how far it may be raised again; raising the latter needs rights."""
    resource.prlimit(number, what, (value, value))
    return "rlimit", value


def _room_for(more: int, user: int) -> int:
    """Return how many tasks a user may have so that there is room for some more: the system counts them all."""
    if user == 0:
        raise OSError(errno.ENOTSUP, "the system does not count the tasks of root")
    held = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.stat(f"/proc/{entry}").st_uid == user:
                    held += len(os.listdir(f"/proc/{entry}/task"))
            except OSError:
                continue  # ended meanwhile, or hidden
    return held + more


def _affinity(number: int, processors: float) -> tuple[str, int]:
    """Let it run on so many processors only; parts of one cannot be had that way."""
    if processors != int(processors):
        raise OSError(errno.ENOTSUP, "an affinity has no parts of processors")
    allowed = sorted(os.sched_getaffinity(0))
    count = min(int(processors), len(allowed))
    first = number % len(allowed)  # not the same ones for all children
    chosen = (allowed + allowed)[first : first + count]
    os.sched_setaffinity(number, chosen)
    return "affinity", len(chosen)


def _nice(number: int, value: int) -> tuple[str, int]:
    os.setpriority(os.PRIO_PROCESS, number, value)
    return "nice", value


def _priority(text: str) -> int | None:
    """Return a priority for input and output as the system writes it, None if there is no such."""
    name, colon, level = text.partition(":")
    if name not in PRIORITIES or (colon and (name == "idle" or level not in tuple("01234567"))):
        return None
    default = 0 if name == "idle" else 4
    return PRIORITIES[name] << 13 | (int(level) if level else default)


def _set_priority(number: int, text: str) -> tuple[str, str]:
    import ctypes  # costs some milliseconds, and is needed here only

    call = IOPRIO_SET.get(platform.machine())
    if call is None:
        raise OSError(errno.ENOSYS, f"the call for this machine ({platform.machine()}) is not known")
    if ctypes.CDLL(None, use_errno=True).syscall(call, 1, number, _priority(text)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return "ioprio", text


def described(limits: Mapping[str, Limit]) -> dict[str, str]:
    """Return each limit in words, for a log."""
    return {name: f"{one.mechanism} {one.value}" for name, one in limits.items()}
