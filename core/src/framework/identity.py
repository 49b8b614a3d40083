"""`Owner`: who a process is, beyond its number, which the system gives to another one sooner or later."""

from __future__ import annotations

import errno
import os
import select
import sys
from dataclasses import asdict, dataclass
from typing import Self

_NO_SUCH_PROCESS = {errno.ESRCH, errno.ENOENT, errno.EINVAL}
"""What opening a process says when there is none of that number, or only a thread."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, as it wrote it down itself. What a system does not tell is empty or 0.

    `token` is made up by the process, and part of the names of what it creates. `started` is in clock ticks since the
    machine started, `opened_at` in seconds since the epoch. `pidfd` is the inode of the process' descriptor, which
    Linux 6.9 and later never uses twice; `pid_space` and `mount_space` are the inodes of its namespaces, which are used
    again when those have ended, so `first` is when the first process that is seen in there started.
    """

    token: str
    pid: int
    started: int
    pidfd: int
    boot: str
    pid_space: int
    mount_space: int
    first: int
    user: int
    program: str
    opened_at: float

    @classmethod
    def this(cls, opened_at: float = 0.0) -> Self:
        """Return the identity of this process."""
        program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
        return cls(
            token(),
            os.getpid(),
            started(os.getpid()),
            _pidfd_inode(os.getpid()),
            boot(),
            _space("pid"),
            _space("mnt"),
            started(1),
            os.geteuid(),
            program.replace("\0", "?")[:200],
            opened_at,
        )

    def encode(self) -> bytes:
        """Return it as bytes, for `decode`."""
        return "\0".join(str(value) for value in asdict(self).values()).encode("utf-8", "surrogatepass")

    @classmethod
    def decode(cls, raw: bytes) -> Self | None:
        """Return what `encode` made bytes of, or nothing where they say something else."""
        try:
            fields = raw.decode("utf-8", "surrogatepass").split("\0")
            said, pid, ticks, pidfd, boot_id, pid_space, mount_space, first, user, program, opened_at = fields
            numbers = int(pid), int(ticks), int(pidfd)
            spaces = int(pid_space), int(mount_space), int(first)
            return cls(said, *numbers, boot_id, *spaces, int(user), program, float(opened_at))
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
        return self.mount_space == _space("mnt") and self.first == started(1)

    def is_gone(self) -> bool:
        """Return whether the process is certainly dead, reaped or not; false where that cannot be told from here."""
        if not self.same_boot():
            return True
        if not self.sees_same_processes() or not hasattr(os, "pidfd_open"):
            return False
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError as error:
            return error.errno in _NO_SUCH_PROCESS
        try:
            return self._is_not(os.fstat(descriptor).st_ino) or _ended(descriptor)
        finally:
            os.close(descriptor)

    def _is_not(self, inode: int) -> bool:
        """Return whether a descriptor's process is certainly another one of the same number."""
        if self.pidfd and inode != self.pidfd:
            return True
        if self.pidfd and inode != _pidfd_inode(os.getpid()):
            return False  # each process has an inode of its own here, so nothing else needs to be asked
        ticks = started(self.pid)
        return bool(ticks and self.started and ticks != self.started)


def token() -> str:
    """Return what the names of all that this process creates contain; 16 hexadecimal digits."""
    return _token


def short_token() -> str:
    """Return the first 8 digits of the token, for names that are made up."""
    return _short


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


def _ended(descriptor: int) -> bool:
    """Return whether the process of a descriptor has ended, though perhaps nobody has asked for its exit code yet."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _pidfd_inode(pid: int) -> int:
    """Return the inode of a process' descriptor; 0 when none can be had."""
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


def _make_token() -> None:
    """Let a forked child be another process."""
    global _token, _short
    _token = os.urandom(8).hex()
    _short = _token[:8]


_token = _short = ""
_make_token()
os.register_at_fork(after_in_child=_make_token)
