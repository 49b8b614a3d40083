"""`StateDirectory`: the private directory in which one process at a time keeps a pool."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError

LOCK = "lock"
_NAME = re.compile(r"(snapshot|journal)-(\d{8})")


class StateDirectory:
    """An open directory: locked for this process until it is closed.

    Files are `lock`, which names the process; `snapshot-N`, the pool as it was at the beginning of `journal-N`; and
    `journal-N`, what happened since. What was damaged is kept as `*.corrupt-TIME`.

    Raises:
        InvalidRequestError: The path is none, or the directory is about something else.
        PolicyError: It belongs to somebody else, or others may write to it.
        ResourceUnavailableError: It cannot be made or written, or another process has the pool open.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _absolute(path)
        _make(self.path)
        _check(self.path)
        self._lock = _locked(self.path)

    def file(self, kind: str, generation: int) -> str:
        """Return the path of the snapshot or the journal of that number."""
        return os.path.join(self.path, f"{kind}-{generation:08}")

    def generations(self, kind: str) -> list[int]:
        """Return the numbers of the snapshots or journals that there are, in order."""
        matches = [_NAME.fullmatch(one) for one in os.listdir(self.path)]
        return sorted([int(one[2]) for one in matches if one is not None and one[1] == kind])

    def newest(self) -> int:
        """Return the greatest number of any file; 0 where there is none."""
        return max([0, *self.generations("snapshot"), *self.generations("journal")])

    def set_aside(self, path: str) -> str:
        """Give a damaged file another name, and return that."""
        other = f"{path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        while os.path.lexists(other):
            other += "x"
        os.rename(path, other)
        return other

    def remove_before(self, generation: int) -> None:
        """Remove what a snapshot has made superfluous, and what is left of files that were never finished."""
        for name in os.listdir(self.path):
            match = _NAME.fullmatch(name)
            if (match is not None and int(match[2]) < generation) or name.endswith(".tmp"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.path, name))

    def sync(self) -> None:
        """Have the names of the files on the disk."""
        _sync(self.path)

    def close(self) -> None:
        """Let others open it."""
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            os.close(descriptor)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _absolute(path: str | os.PathLike[str]) -> str:
    try:
        found = os.path.abspath(os.fspath(path))
        os.fsencode(found)
    except (TypeError, ValueError):
        found = ""
    if not found or not os.fspath(path) or "\0" in found:
        raise InvalidRequestError(
            f"The directory of a pool is {path!r:.80}; the path of a directory is allowed.", "Name a directory."
        )
    return found


def _make(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
            with contextlib.suppress(PermissionError):  # of a directory that may not be read
                _sync(os.path.dirname(path))
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise NotADirectoryError(20, os.strerror(20))
    except OSError as error:
        raise ResourceUnavailableError(
            f"The directory {path!r} of a pool cannot be made: {_reason(error)}.",
            "Name a directory on a local disk that you may write to.",
            resource=path,
        ) from error


def _check(path: str) -> None:
    """Refuse what is not this user's own, and what is about something else."""
    found = os.stat(path)
    if found.st_uid != os.geteuid():
        raise PolicyError(
            f"The directory {path!r} of a pool belongs to user {found.st_uid}, not to user {os.geteuid()}.",
            "Name a directory of your own.",
            resource=path,
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise PolicyError(
            f"The directory {path!r} of a pool may be written to by others (mode {stat.S_IMODE(found.st_mode):o}).",
            "Make it private with chmod 700.",
            resource=path,
        )
    try:
        names = os.listdir(path)
    except OSError as error:
        raise _unusable(path, error) from error
    if names and not any(one == LOCK or one.startswith(("snapshot-", "journal-")) for one in names):
        raise InvalidRequestError(
            f"The directory {path!r} contains {min(names)!r}, and no pool.",
            "Name a directory that is empty or does not exist yet.",
            resource=path,
        )


def _locked(path: str) -> int:
    try:
        name = os.path.join(path, LOCK)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        said = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = "this process" if said == str(os.getpid()) else f"process {said or '(starting)'}"
        raise ResourceUnavailableError(
            f"The pool in {path!r} is open in {who} already; one at a time may keep it.",
            "Close it there, wait until that process ends, or name another directory.",
            resource=path,
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise _unusable(path, error) from error
    return descriptor


def _unusable(path: str, error: OSError) -> ResourceUnavailableError:
    return ResourceUnavailableError(
        f"The directory {path!r} of a pool cannot be used: {_reason(error)}.",
        "Name a directory on a local disk that you may write to.",
        resource=path,
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
