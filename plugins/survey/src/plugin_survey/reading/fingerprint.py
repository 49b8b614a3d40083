"""The fingerprint of a file: the SHA-256 of its whole content, with the size and time it had while it was read.

SHA-256 because it was the fastest cryptographic digest measured where processors compute it in hardware: 1.3 GB/s, to
0.56 GB/s of BLAKE2b. Small files are read at once and in batches, which any executor can run; a large one alone, in
chunks, by `LargeFiles`, which can be stopped and says how far it got.

Nothing imported here is heavy, because worker processes import it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from plugin_survey.formats import HEAD, kind_of
from plugin_survey.problem import CHANGED, REPLACED, Problem, problem_from

ALGORITHM = "sha256"
SMALL = 1 << 20
"""Largest size in bytes that is read at once."""
CHUNK = 1 << 20

Row = tuple[bytes, int, int, int, int, int, bytes, str]
"""Path, size in bytes, times of modification and of change in nanoseconds, device, inode, digest, kind of content."""
Identity = tuple[int, int]
"""Device and inode."""

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EMPTY = sha256().digest()


class Batch(NamedTuple):
    """What became of some paths: rows, problems, large files to be read alone, and what there was no time for."""

    rows: list[Row]
    problems: list[Problem]
    large: list[bytes]
    rest: list[bytes]
    seconds: float


def fingerprint_batch(paths: Sequence[bytes], own: frozenset[Identity], seconds: float) -> Batch:
    """Fingerprint small files until all are done or the time is up; at least one is done.

    Args:
        paths: Regular files, as found by a walk; each is checked again once it is open.
        own: Files to pass over in silence, because the survey itself writes them.
        seconds: When to stop and hand back the rest.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    large: list[bytes] = []
    started = time.monotonic()
    deadline = started + seconds
    done = 0
    for path in paths:
        done += 1
        try:
            descriptor = os.open(path, _OPEN)
            try:
                found = _read_small(descriptor, path, own)
            finally:
                os.close(descriptor)
        except OSError as error:
            problems.append(problem_from(path, error))
            continue
        if isinstance(found, Problem):
            problems.append(found)
        elif isinstance(found, tuple):
            rows.append(found)
        elif found:
            large.append(path)
        if time.monotonic() > deadline:
            break
    return Batch(rows, problems, large, list(paths[done:]), time.monotonic() - started)


def _read_small(descriptor: int, path: bytes, own: frozenset[Identity]) -> Row | Problem | bool:
    """Return the row, what went wrong, or whether the file is one for `LargeFiles`."""
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return Problem(path, REPLACED, "it is no longer a regular file")
    if own and (before.st_dev, before.st_ino) in own:
        return False
    size = before.st_size
    if size == 0:
        return _row(path, before, _EMPTY, b"")
    if size > SMALL:
        return True
    # one byte more than there should be, to notice a file that grew
    content = os.read(descriptor, size + 1)
    if len(content) < size:
        return True  # a network file system may give less than asked for, which the loop over chunks can handle
    after = os.fstat(descriptor)
    if len(content) > size or after.st_mtime_ns != before.st_mtime_ns or after.st_size != size:
        return _changed(path, before, after)
    return _row(path, before, sha256(content).digest(), content[:HEAD])


class LargeFiles:
    """Fingerprints files of any size, each in chunks; safe to use from several threads.

    A file with several names is read once: the digest is remembered by identity, size and time.
    """

    remembered = 100_000
    """Most digests remembered, to bound memory; beyond that a further name is read again."""

    def __init__(self) -> None:
        self._stopped = False
        self._known: dict[tuple[int, int, int, int], bytes] = {}
        self._lock = threading.Lock()
        self._bytes = 0

    @property
    def bytes_read(self) -> int:
        """Bytes read so far, those of unfinished files included."""
        return self._bytes

    def stop(self) -> None:
        """Make every call, running or to come, end after its current chunk with `InterruptedError`."""
        self._stopped = True

    def fingerprint(self, path: bytes) -> Row | Problem:
        """Return the row of a file, or why there is none.

        Raises:
            InterruptedError: `stop` was called.
        """
        if self._stopped:
            raise InterruptedError
        try:
            descriptor = os.open(path, _OPEN)
        except OSError as error:
            return problem_from(path, error)
        try:
            return self._read(descriptor, path)
        except InterruptedError:
            raise
        except OSError as error:
            return problem_from(path, error)
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int, path: bytes) -> Row | Problem:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return Problem(path, REPLACED, "it is no longer a regular file")
        key = (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns)
        if before.st_nlink > 1 and key in self._known:
            return _row(path, before, self._known[key], os.pread(descriptor, HEAD, 0))
        length, digest = self._digest(descriptor, before.st_size)
        after = os.fstat(descriptor)
        if length != before.st_size or after.st_mtime_ns != before.st_mtime_ns or after.st_size != before.st_size:
            return _changed(path, before, after)
        if before.st_nlink > 1 and len(self._known) < self.remembered:
            self._known[key] = digest
        return _row(path, before, digest, os.pread(descriptor, HEAD, 0))

    def _digest(self, descriptor: int, size: int) -> tuple[int, bytes]:
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        digest = sha256()
        length = 0
        # a file that only ever grows must not be read for ever
        while length <= size and (count := os.readv(descriptor, [buffer])):
            digest.update(view[:count])
            length += count
            with self._lock:
                self._bytes += count
            if self._stopped:
                raise InterruptedError
        return length, digest.digest()


def _row(path: bytes, found: os.stat_result, digest: bytes, head: bytes) -> Row:
    times = found.st_mtime_ns, found.st_ctime_ns
    return (path, found.st_size, *times, found.st_dev, found.st_ino, digest, kind_of(head, _name(path)))


def _name(path: bytes) -> str:
    return path[path.rfind(b"/") + 1 :].decode(errors="replace")


def _changed(path: bytes, before: os.stat_result, after: os.stat_result) -> Problem:
    if before.st_size != after.st_size:
        return Problem(path, CHANGED, f"it had {before.st_size} bytes, then {after.st_size}, while it was read")
    return Problem(path, CHANGED, "it was written to, or is not as long as the system says, while it was read")
