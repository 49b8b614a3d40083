"""`SharedMemory`: a segment that other processes can attach to by name."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from framework.errors import PolicyError, ResourceError, ResourceLimitError, ResourceUnavailableError
from plugin_memory import shm
from plugin_memory.mapping import MappedMemory


@dataclass(frozen=True, slots=True)
class Segment:
    """A mapped segment, with what tells it from a later one of the same name."""

    name: str
    mapping: mmap.mmap
    identity: tuple[int, int]


class SharedMemory(MappedMemory):
    """Memory that every process of the same user can map by name.

    Args:
        segment: The mapped segment.
        settle: Called once when the memory was given back.
        owned: True when the release removes the segment; false for a persistent or an attached one.
    """

    def __init__(self, segment: Segment, settle: Callable[[], object], *, owned: bool) -> None:
        super().__init__(segment.mapping, settle)
        self.segment = segment.name
        self._identity = segment.identity
        self._owner_process = os.getpid() if owned else None

    def remove(self) -> None:
        """Remove the segment's name now; the memory stays until the last process that maps it lets go.

        Removing what is gone already, or was replaced by another segment of that name, does nothing.

        Raises:
            ResourceError: The system refuses.
        """
        if self._view is None or not shm.is_still(self.segment, self._identity):
            return
        try:
            shm.unlink(self.segment)
        except FileNotFoundError:
            return
        except OSError as error:
            raise refusal(error, self.kind, self.name, self.segment) from error

    def _give_up(self) -> None:
        # A forked child inherits this object, but the segment is the parent's.
        if self._owner_process == os.getpid():
            self.remove()


async def create_segment(kind: str, name: str, size: int) -> Segment:
    """Create, reserve and map a segment; on any failure, or when cancelled, nothing is left.

    Raises:
        ResourceUnavailableError: The name is taken, or there is no room now.
        ResourceLimitError: A limit of the process or of the system is in the way.
    """
    segment = shm.segment_name(name)
    try:
        descriptor = shm.create(segment)
    except OSError as error:
        raise refusal(error, kind, name, segment) from error
    try:
        await shm.reserve(descriptor, size)
        mapping = mmap.mmap(descriptor, size)
        shm.publish(descriptor)
        return Segment(segment, mapping, shm.identity(descriptor))
    except OSError as error:
        _discard(segment)
        raise refusal(error, kind, name, segment, size) from error
    except BaseException:
        _discard(segment)
        raise
    finally:
        os.close(descriptor)


def attach_segment(kind: str, name: str) -> Segment:
    """Map an existing segment.

    Raises:
        ResourceUnavailableError: There is none of that name, or it is not complete yet.
        PolicyError: It belongs to another user.
    """
    segment = shm.segment_name(name)
    try:
        descriptor = shm.attach(segment)
    except OSError as error:
        raise refusal(error, kind, name, segment) from error
    try:
        found = os.fstat(descriptor)
        _check_trust(found, kind, name, segment)
        return Segment(segment, mmap.mmap(descriptor, found.st_size), (found.st_dev, found.st_ino))
    except OSError as error:
        raise refusal(error, kind, name, segment) from error
    finally:
        os.close(descriptor)


def remove_segment(kind: str, name: str) -> None:
    """Remove a segment by its resource's name.

    Raises:
        ResourceUnavailableError: There is none of that name, or it may not be removed.
    """
    segment = shm.segment_name(name)
    try:
        shm.unlink(segment)
    except OSError as error:
        raise refusal(error, kind, name, segment) from error


def _discard(segment: str) -> None:
    with contextlib.suppress(OSError):  # the failure that led here is the one to report
        shm.unlink(segment)


def _check_trust(found: os.stat_result, kind: str, name: str, segment: str) -> None:
    user = os.geteuid()
    if user not in {0, found.st_uid}:
        raise PolicyError(
            f"{kind} {name!r}: segment {segment!r} belongs to user {found.st_uid}; only segments of user {user} are"
            " attached.",
            "Let the same user create and attach, or use another name.",
        )
    if not stat.S_ISREG(found.st_mode) or not shm.is_published(found):
        raise ResourceUnavailableError(
            f"{kind} {name!r}: segment {segment!r} is not complete; its creator is still at it or died over it.",
            "Try again; if it stays so, remove it with MemoryProvider.remove_shared_memory(name).",
        )


_REMEDIES = {
    errno.EEXIST: "Choose another name, acquire it as memory.attached, or remove it with"
    " MemoryProvider.remove_shared_memory(name).",
    errno.ENOENT: "Create it first as memory.shared with the same name, and keep it while others attach.",
    errno.EACCES: "Let the same user create and attach; if the user is the same, its creator died over it: remove it.",
    errno.EFBIG: "Ask for less, or raise the limit on file sizes (ulimit -f).",
    errno.EMFILE: "Release something, or raise the limit on open files (ulimit -n).",
}
_LIMITS = {errno.EFBIG, errno.EMFILE}


def refusal(error: OSError, kind: str, name: str, segment: str, size: int | None = None) -> ResourceError:
    """Return what the system's refusal means to the user."""
    cause = (error.strerror or str(error)).lower()
    asked = f" of {size} bytes" if size is not None else ""
    make = ResourceLimitError if error.errno in _LIMITS else ResourceUnavailableError
    remedy = _REMEDIES.get(error.errno or 0, "Ask for less, or remove what is no longer used from /dev/shm.")
    return make(f"{kind} {name!r}: segment {segment!r}{asked} is refused: {cause}.", remedy)
