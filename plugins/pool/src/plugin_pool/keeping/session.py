"""`Session`: the process that keeps a pool, and what time it is for the pool that is kept."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Session:
    """A process that opened a pool, from then until it closed it or died.

    Attributes:
        pid: Its number.
        started: When it started, in clock ticks since the machine did; 0 where that cannot be told.
        boot: Which start of the machine that was; empty where that cannot be told.
        space: The inode of its process namespace, without which its number says nothing.
        offset: Seconds to add to those since the machine started, to get the time of the pool.
        opened: When it opened the pool, in seconds since the epoch.
    """

    pid: int
    started: int
    boot: str
    space: int
    offset: float
    opened: float

    @classmethod
    def this(cls, former: Session | None = None) -> Session:
        """Return this process.

        The time of the pool goes on from that of a former session as long as the machine was not started anew, so that
        it does not matter who sets its clock meanwhile.
        """
        boot = _boot()
        same = former is not None and boot and former.boot == boot
        offset = former.offset if same and former else time.time() - time.clock_gettime(_BOOT)
        return cls(os.getpid(), _started(os.getpid()), boot, _space(), offset, time.time())

    @classmethod
    def of(cls, given: dict[str, Any]) -> Session:
        """Return what `as_json` returned once.

        Raises:
            TypeError: It did not.
        """
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is written."""
        return asdict(self)

    def now(self) -> float:
        """Return the time of the pool in seconds, near those since the epoch; it never goes back."""
        return time.clock_gettime(_BOOT) + self.offset

    @property
    def same_boot(self) -> bool:
        """True while the machine was not started anew since; also where that cannot be told."""
        return self.boot == _boot()

    @property
    def alive(self) -> bool:
        """False when the process is dead, or cannot be seen from here."""
        if self.boot != _boot() or self.space != _space():
            return False
        return _started(self.pid) == self.started if self.started else self.pid == os.getpid()


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _started(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # the name, in parentheses, may hold anything; state and start are the 3rd and 22nd fields
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def _space() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
