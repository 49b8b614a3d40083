"""Reads files again and compares them with the fingerprints of a catalogue.

A fingerprint is the SHA-256 of the whole content, so each file that was surveyed can be verified in full. A file whose
size or time of modification is another one was written to by somebody, and is `changed`: that is no fault. One with the
same size and time of modification whose content differs is `rotten`, the more certainly so when its time of change,
which programs cannot set, has not moved either.

What the system has of a file in memory is dropped before it is read (`posix_fadvise`), so that it comes from the disk
unless another program has it mapped or has just written it.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from plugin_survey.cataloguing.catalogue import nearest
from plugin_survey.formats import DAMAGED as CONTENT_DAMAGED
from plugin_survey.formats import check
from plugin_survey.use.choice import BELOW, Chosen
from plugin_survey.use.copy import CHUNK
from plugin_survey.use.pace import Pace

ROTTEN, DAMAGED, MISSING, CHANGED, REPLACED, UNREADABLE, SOUND = (
    "rotten",
    "damaged",
    "missing",
    "changed",
    "replaced",
    "unreadable",
    "sound",
)
FAULTS = (ROTTEN, DAMAGED, MISSING, REPLACED, UNREADABLE)
"""Verdicts that are a reason to worry. `changed` is not, nor is `sound`."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# by inode, which on many file systems is about the order on the disk, and brings the names of one file together
_FILES = f"""
SELECT path, size, mtime_ns, ctime_ns, device, inode, digest, kind,
    (SELECT problem FROM content
        WHERE content.digest = file.digest AND content.kind = file.kind AND verdict = 'damaged')
FROM file WHERE {BELOW} ORDER BY device, inode, path
"""  # noqa: S608 - made of constants


class _File(NamedTuple):
    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    digest: bytes
    kind: str
    problem: str | None


class Verdict(NamedTuple):
    """What became of a file, one of the constants of this module, and the details for people."""

    what: str
    path: bytes
    note: str = ""


class Verification:
    """Verifies the files of a catalogue one after the other.

    Args:
        chosen: Which.
        pace: How fast they may be read.
        tick: Called after each file and each chunk.

    Attributes:
        counts: How many names have each verdict so far.
        bytes: What was read so far.
    """

    def __init__(self, chosen: Chosen, pace: Pace, tick: Callable[[], None] = lambda: None) -> None:
        self._chosen = chosen
        self._pace = pace
        self._tick = tick
        self._last: tuple[tuple[int, int, int, int], bytes] | None = None
        self.counts: Counter[str] = Counter()
        self.bytes = 0

    def verdicts(self) -> Iterator[Verdict]:
        """Yield every file that is not sound.

        Raises:
            ResourceError: The catalogue is damaged.
        """
        for row in self._chosen.reader.rows(_FILES, self._chosen.limits):
            found = self._verdict(_File._make(row))
            self.counts[found.what] += 1
            self._tick()
            if found.what != SOUND:
                yield found

    def _verdict(self, file: _File) -> Verdict:
        try:
            descriptor = os.open(file.path, _FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return Verdict(MISSING, file.path)
        except OSError as error:
            # a link that was put there, or a socket, cannot be opened
            return Verdict(REPLACED if _is_other(file.path) else UNREADABLE, file.path, os.strerror(error.errno or 0))
        try:
            return self._compared(file, descriptor)
        except OSError as error:
            return Verdict(UNREADABLE, file.path, os.strerror(error.errno or 0))
        finally:
            os.close(descriptor)

    def _compared(self, file: _File, descriptor: int) -> Verdict:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return Verdict(REPLACED, file.path, "it is no regular file now")
        if (before.st_size, nearest(before.st_mtime_ns)) != (file.size, file.mtime_ns):
            return Verdict(CHANGED, file.path, "size or time of modification is another one")
        digest = self._digest(descriptor, before)
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return Verdict(CHANGED, file.path, "it was written to while it was read")
        if digest != file.digest:
            return Verdict(ROTTEN, file.path, _rot(file, before))
        if file.problem is not None:
            return Verdict(DAMAGED, file.path, f"it was already when it was surveyed: {file.problem}")
        return Verdict(SOUND, file.path)

    def _digest(self, descriptor: int, found: os.stat_result) -> bytes:
        key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._read(descriptor))
        return self._last[1]

    def _read(self, descriptor: int) -> bytes:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        digest = sha256()
        while chunk := os.read(descriptor, CHUNK):
            digest.update(chunk)
            self.bytes += len(chunk)
            self._pace.read(len(chunk))
            self._tick()
        return digest.digest()


def _rot(file: _File, found: os.stat_result) -> str:
    if file.ctime_ns and nearest(found.st_ctime_ns) != file.ctime_ns:
        note = "its time of change moved: written to and given its former time, or linked or renamed and damaged"
    else:
        note = "no time stamp moved: the disk, or what is between, has altered it"
    try:
        finding = check(file.path, file.kind)
    except Exception:  # noqa: BLE001 - nobody wrote what is in it now, and it is rotten whatever a parser makes of it
        return note
    return f"{note}; {finding.problem}" if finding.verdict == CONTENT_DAMAGED else note


def _is_other(path: bytes) -> bool:
    """Return whether something else than a file is there."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
