"""How a worker process died, and the error that says so."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from framework.errors import ResourceError
from framework.limits import directories


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a worker process that nobody asked for."""

    pid: int
    returncode: int | None
    """The exit code; negative for a signal, and None where the system does not tell."""
    out_of_memory: bool
    """Whether the kernel counted a kill for want of memory in the worker's control group meanwhile."""
    started: bool = True
    """Whether it had become ready for tasks."""
    reason: str = ""
    """What it said of itself, where it could."""
    trace: str = ""
    """Where in the worker that was raised."""

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended it, if one did."""
        if self.returncode is None or self.returncode >= 0:
            return None
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:
            return f"signal {-self.returncode}"

    def __str__(self) -> str:
        if self.returncode is None:
            return f"worker {self.pid} ended for an unknown cause"
        how = f"by {self.signal}" if self.signal else f"with exit code {self.returncode}"
        why = " (out of memory)" if self.out_of_memory else ""
        return f"worker {self.pid} ended {how}{why}" + (f": {self.reason.rstrip('.')}" if self.reason else "")


class WorkerDiedError(ResourceError):
    """A task ended its worker process, each time that it was tried; nothing else was lost.

    Attributes:
        task: What was called.
        deaths: How each worker ended that was given the task, in order.
    """

    def __init__(self, pool: str, task: str, deaths: list[Death]) -> None:
        self.task = task
        self.deaths = tuple(deaths)
        tried = "once" if len(deaths) == 1 else f"{len(deaths)} times"
        what = "ended its worker" if deaths[-1].started else "found no worker that came to be ready"
        problem = f"executor.process {pool!r}: {task} was tried {tried} and {what}: {deaths[-1]}."
        super().__init__(problem, _remedy(deaths[-1]), resource=pool)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.resource or "", self.task, list(self.deaths))

    @property
    def returncode(self) -> int | None:
        """The exit code of the last worker; negative for a signal."""
        return self.deaths[-1].returncode

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended the last worker, if one did."""
        return self.deaths[-1].signal

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel ended the last worker for want of memory."""
        return self.deaths[-1].out_of_memory


def oom_kills(root: str = "/") -> int:
    """Return how many processes of this process' own control group the kernel has killed for want of memory.

    Version 2 counts in `memory.events.local`, version 1 in `memory.oom_control`; both name it `oom_kill`.
    """
    return sum(_count(path) for path, _ in _own(root))


def _own(root: str) -> list[tuple[str, bool]]:
    seen: dict[bool, str] = {}
    for path, unified in directories("memory", root):
        seen.setdefault(unified, path)  # the first of each version is the group itself; ancestors follow
    return [(path, unified) for unified, path in seen.items()]


def _count(path: str) -> int:
    for name in ("memory.events.local", "memory.events", "memory.oom_control"):
        try:
            with open(os.path.join(path, name), encoding="ascii") as file:
                words = file.read().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0


def _remedy(death: Death) -> str:
    if not death.started:
        return (
            "See what it printed: its main program may not guard its start with `if __name__ == '__main__'`, or may"
            " not be importable."
        )
    if death.out_of_memory:
        return "Give the task less to do at once, use fewer workers, or raise the memory limit."
    if death.returncode is not None and death.returncode >= 0:
        return "Do not end the process in a task: raise an exception instead of calling os._exit()."
    return "Look for what killed it: a lack of memory, a crash in native code, or somebody's kill."
