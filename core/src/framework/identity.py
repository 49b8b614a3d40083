"""`Owner`: who a process is, beyond its number, which the system gives to another one sooner or later."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, as it wrote it down itself. What a system does not tell is empty or 0.

    `token` is made up by the process, and part of the names of what it creates. `started` is in clock ticks since the
    machine started, `opened_at` in seconds since the epoch. `pidfd` is the inode of the process' descriptor, which
    Linux 6.9 and later never uses twice; `pid_space` and `mount_space` are the inodes of its namespaces.
    """

    token: str
    pid: int
    started: int
    pidfd: int
    boot: str
    pid_space: int
    mount_space: int
    user: int
    program: str
    opened_at: float

    @classmethod
    def this(cls, opened_at: float = 0.0) -> Self:
        """Return the identity of this process, with a new token."""
        program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
        return cls(
            os.urandom(8).hex(),
            os.getpid(),
            started(os.getpid()),
            _pidfd_inode(os.getpid()),
            boot(),
            _space("pid"),
            _space("mnt"),
            os.geteuid(),
            program.replace("\0", "?")[:200],
            opened_at,
        )

    def encode(self) -> bytes:
        """Return it as bytes, for `decode`."""
        return "\0".join(str(value) for value in asdict(self).values()).encode("utf-8", "surrogateescape")

    @classmethod
    def decode(cls, raw: bytes) -> Self | None:
        """Return what `encode` made bytes of, or nothing where they say something else."""
        fields = raw.decode("utf-8", "surrogateescape").split("\0")
        try:
            token, pid, ticks, pidfd, boot_id, pid_space, mount_space, user, program, opened_at = fields
            numbers = int(pid), int(ticks), int(pidfd)
            return cls(token, *numbers, boot_id, int(pid_space), int(mount_space), int(user), program, float(opened_at))
        except ValueError:
            return None

    def same_boot(self) -> bool:
        """Return whether the machine has not been started anew since; true where it does not tell."""
        return not self.boot or not boot() or self.boot == boot()

    def sees_same_processes(self) -> bool:
        """Return whether numbers of processes mean the same there and here."""
        return self.pid_space == _space("pid")

    def sees_same_files(self) -> bool:
        """Return whether paths lead to the same files there and here, as far as mounts go."""
        return self.mount_space == _space("mnt")

    def is_gone(self) -> bool:
        """Return whether the process is certainly dead; false where that cannot be told from here."""
        if not self.same_boot():
            return True
        if not self.sees_same_processes():
            return False
        inode = _pidfd_inode(self.pid)
        if not inode or (self.pidfd and inode != self.pidfd):
            return True
        return started(self.pid) != self.started


def boot() -> str:
    """Return the identity of this start of the machine, or nothing where it does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def started(pid: int) -> int:
    """Return when a process started, in clock ticks since the machine did; 0 when there is none or none can be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # the name, in parentheses, may hold anything; the 22nd field is the 20th after it
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _pidfd_inode(pid: int) -> int:
    """Return the inode of a process' descriptor; 0 when there is no such process."""
    if not hasattr(os, "pidfd_open"):
        return 0
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return 0
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _space(kind: str) -> int:
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino
    except OSError:
        return 0
