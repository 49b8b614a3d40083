"""`Journal`: the crash-proof record of what a process holds, so that a later one can give it back.

One append-only file for each process, in a private folder of the user. What must be undone is written *before* it is
done, so a process may be killed at any moment. Nothing is forced to the disk: what a process wrote survives its death,
and after a loss of power only files can be left, whose names say so. The owner holds a `flock` on the file for as long
as it lives. (The order "intent, create, release" is that of write-ahead logs, the lock as the sign of life that of
systemd-tmpfiles.)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
import time
from typing import TYPE_CHECKING, ClassVar, Final

from framework import directories
from framework.errors import FrameworkError, ResourceUnavailableError
from framework.filesystems import is_remote
from framework.identity import Owner
from framework.journal import format as records
from framework.process_number import process_number
from framework.telemetry import get_logger

if TYPE_CHECKING:
    from framework.journal.format import Target
    from framework.lease import Lease

SUFFIX: Final = ".journal"
COMPACT_FROM = 1 << 20
"""Bytes from which on a journal is written anew, once less than a quarter of it is of leases that are held."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What may be over soon; to do without a journal for that would be no answer."""

_ATTEMPTS = 3
_PAUSE = 30.0  # seconds after which a journal that could not be kept is tried again


class Journal:
    """The journal of this process; `current` makes it when the first lease needs it."""

    _current: ClassVar[Journal | None] = None
    _refused: ClassVar[tuple[float, str]] = (0.0, "")
    _making: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, directory: str) -> None:
        self.owner = Owner.this(time.time())
        self.directory = directory
        self._lock = threading.Lock()
        self._live: dict[int, bytes] = {}
        self._live_bytes = 0
        self._header = records.header(self.owner)
        self.path = os.path.join(directory, f"{self.owner.pid}-{os.urandom(8).hex()}{SUFFIX}")
        self._descriptor, self._size = self._written(self._header)
        self._compact_from = COMPACT_FROM

    @classmethod
    def current(cls, policy: str = "auto") -> Journal | None:
        """Return this process' journal, made if need be; nothing where the policy does without.

        Raises:
            ResourceUnavailableError: None can be kept, and the policy requires one or the disk is full.
        """
        if policy == "none":
            return None
        journal = cls.existing()
        if journal is not None:
            return journal
        with cls._making:
            journal = cls._current  # another thread may have made it meanwhile
            if journal is None and (policy == "required" or time.monotonic() >= cls._refused[0]):
                try:
                    journal = cls._current = cls(_directory())
                except (OSError, FrameworkError) as error:
                    cls._do_without(policy, error)
            return journal

    @classmethod
    def existing(cls) -> Journal | None:
        """Return this process' journal if it has one by now."""
        if cls._current is not None and cls._current.owner.pid != process_number():  # forked behind Python's back
            _let_go()
        return cls._current

    @classmethod
    def _do_without(cls, policy: str, error: Exception) -> None:
        reason = str(getattr(error, "problem", error))
        cause = error if isinstance(error, OSError) else error.__cause__
        if policy == "required" or (isinstance(cause, OSError) and cause.errno in _FULL):
            raise ResourceUnavailableError(
                f"No journal of leases can be kept, so nothing is created that would need one: {reason}",
                "Make room there, set XDG_STATE_HOME to a directory on a local disk, or set leases.journal to 'none'.",
            ) from error
        if reason != cls._refused[1]:
            get_logger().warning("journal_unavailable", reason=reason, consequence="kill -9 leaves what is held")
        cls._refused = time.monotonic() + _PAUSE, reason

    @classmethod
    def forget(cls, *, remove: bool) -> None:
        """Close this process' journal, and remove it if nothing is left to undo; the next lease makes another one."""
        with cls._making:
            journal, cls._current = cls._current, None
        if journal is not None:
            journal.close(remove=remove)

    def intend(self, lease: Lease, target: Target) -> None:
        """Write what must be undone for a lease, before it is done.

        Raises:
            InvalidRequestError: It does not fit into a record.
            ResourceUnavailableError: It cannot be written.
        """
        record = records.intent(lease, target)
        with self._lock:
            try:
                self._append(record)
            except OSError as error:
                raise ResourceUnavailableError(
                    f"{lease.kind} {lease.name!r} is not created, because the journal {self.path!r} cannot be written:"
                    f" {(error.strerror or str(error)).lower()}.",
                    "Make room there, or set XDG_STATE_HOME to a directory on another disk.",
                    resource=lease.name,
                ) from error
            self._live[lease.id] = self._live.get(lease.id, b"") + record
            self._live_bytes += len(record)

    def hold(self, lease: int) -> None:
        """Write that a lease's resource exists. Failing to is logged: the intent says enough."""
        record = records.record(records.HOLD, lease)
        with self._lock:
            if lease in self._live and self._attempt(record):
                self._live[lease] += record
                self._live_bytes += len(record)

    def release(self, lease: int) -> None:
        """Write that nothing is to be undone any more. Failing to is logged: what is gone is not looked for again."""
        with self._lock:
            if lease in self._live:
                self._live_bytes -= len(self._live.pop(lease))
                self._attempt(records.record(records.RELEASE, lease))

    def repair(self) -> None:
        """Write the file anew if somebody took it away."""
        with self._lock:
            if self._descriptor >= 0 and not _is_at(self._descriptor, self.path):
                get_logger().warning("journal_vanished", path=self.path)
                with contextlib.suppress(OSError, FrameworkError):
                    directories.make_private(self.directory)
                    self._compact()

    def content(self) -> bytes:
        """Return the header and the records of what is held now."""
        with self._lock:
            return b"".join((self._header, *self._live.values()))

    def close(self, *, remove: bool) -> None:
        """Let go of the file, and remove it if nothing is left to undo."""
        with self._lock:
            if remove and not self._live:
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
            os.close(self._descriptor)
            self._descriptor = -1

    def _attempt(self, record: bytes) -> bool:
        try:
            self._append(record)
        except OSError as error:
            get_logger().warning("journal_incomplete", path=self.path, reason=str(error))
            return False
        return True

    def _append(self, record: bytes) -> None:
        size = self._size
        # first, because what is held does not include this record yet: written anew after it, the file would lack it
        if size > self._compact_from and size > 4 * self._live_bytes:
            try:
                self._compact()
            except OSError:  # no room for a second file: go on with this one for a while
                self._compact_from = size + COMPACT_FROM
        written = os.write(self._descriptor, record)
        if written != len(record):  # a torn record must not stay: what is written next may fill it up
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise _no_space()
        self._size += written

    def _compact(self) -> None:
        descriptor, size = self._written(b"".join((self._header, *self._live.values())))
        former, self._descriptor, self._size = self._descriptor, descriptor, size
        self._compact_from = COMPACT_FROM
        os.close(former)

    def _written(self, content: bytes) -> tuple[int, int]:
        for _ in range(_ATTEMPTS):
            # who looks in the moment before it is locked takes it for left behind, and may remove it
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                return self._write(content)
        return self._write(content)

    def _write(self, content: bytes) -> tuple[int, int]:
        """Write a new file, lock it, and only then give it its name; nobody ever sees an unlocked one by that name."""
        hidden = os.path.join(self.directory, f".{os.path.basename(self.path)}.{os.urandom(4).hex()}")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(descriptor, content) != len(content):
                raise _no_space()
            os.rename(hidden, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            os.close(descriptor)
            raise
        return descriptor, len(content)

    def _abandon(self) -> None:
        """Let a forked child let go: the lock lives until the last descriptor of the same opening is closed."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = -1
        self._lock = threading.Lock()  # another thread of the parent may have held it


def token(owner: Owner, lease: int) -> str:
    """Return what the names of all that a process made for a lease contain; 28 hexadecimal digits."""
    return f"{owner.token}{lease:012x}"


def directory_path() -> str:
    """Return where journals are kept, whether or not it is there.

    Raises:
        ResourceUnavailableError: Nothing says where the user's home is.
    """
    return directories.state_path("leases")


def _directory() -> str:
    """Return the private directory of journals, made if need be."""
    path = directory_path()
    directories.make_private(path)
    if is_remote(path):
        raise ResourceUnavailableError(
            f"The directory {path!r} is on another machine, where neither locks nor the death of a process can be"
            " relied on.",
            "Set XDG_STATE_HOME to a directory on a local disk.",
            resource=path,
        )
    return path


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def is_ours(found: os.stat_result) -> bool:
    """Return whether a file is a plain one of this user that nobody else may write to."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o022


def _no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _let_go() -> None:
    """Give a forked child a journal of its own."""
    Journal._making = threading.Lock()  # noqa: SLF001 - the same module
    journal, Journal._current = Journal._current, None  # noqa: SLF001
    if journal is not None:
        journal._abandon()  # noqa: SLF001


os.register_at_fork(after_in_child=_let_go)
