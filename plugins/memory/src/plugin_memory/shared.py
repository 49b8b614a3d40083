"""`SharedMemory`: memory that other processes can map, by a name or by a descriptor."""

from __future__ import annotations

import errno
import mmap
import os
import re

from framework import Recovery, ResourceProvider
from framework.errors import (
    InvalidRequestError,
    PolicyError,
    ResourceError,
    ResourceLimitError,
    ResourceUnavailableError,
)
from plugin_memory import shm
from plugin_memory.mapping import MappedMemory

_BY_DESCRIPTOR = re.compile(r"/proc/(self|[1-9][0-9]*)/fd/[0-9]+", re.ASCII)


class SharedMemory(MappedMemory):
    """Memory that every process of the same user can map.

    Args:
        mapping: The mapped memory.
        segment: The name that the operating system knows it by; empty for nameless memory.
        identity: What tells it from a later segment of the same name.
        fd: The descriptor of nameless memory, which belongs to the resource from now on.
        path: Where others find it.
        owned: True when the release removes the segment; false for a persistent or an attached one.
    """

    def __init__(
        self, mapping: mmap.mmap, segment: str, identity: shm.Identity, fd: int | None, path: str, *, owned: bool
    ) -> None:
        super().__init__(mapping)
        self.segment = segment
        self.path = path
        self.fd = fd
        self._identity = identity
        self._owned = owned

    def remove(self) -> None:
        """Remove the segment's name now; the memory stays until the last process that maps it lets go.

        Removing what is gone already, was replaced by another segment of that name, or has no name, does nothing.

        Raises:
            ResourceError: The system refuses.
        """
        if self._view is None or not self.segment or not shm.is_still(self.segment, self._identity):
            return
        try:
            shm.unlink(self.segment)
        except FileNotFoundError:
            return
        except OSError as error:
            raise refusal(error, self.kind, self.name, self.segment) from error

    def _give_up(self) -> None:
        if self._owned:
            self.remove()
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


async def create_nameless(kind: str, name: str, size: int) -> SharedMemory | None:
    """Create memory without a name, reserve and map it; nothing where the system has no such memory.

    Raises:
        ResourceUnavailableError: There is no room now.
        ResourceLimitError: A limit of the process or of the system is in the way.
    """
    title = shm.segment_name(name)
    try:
        descriptor = shm.nameless(title)
    except OSError as error:
        raise refusal(error, kind, name, title) from error
    if descriptor is None:
        return None
    try:
        await shm.reserve(descriptor, size)
        shm.seal(descriptor)
        mapping = mmap.mmap(descriptor, size)
    except OSError as error:
        os.close(descriptor)
        raise refusal(error, kind, name, title, size) from error
    except BaseException:
        os.close(descriptor)
        raise
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    return SharedMemory(mapping, "", shm.identity(descriptor), descriptor, path, owned=True)


async def create_segment(
    provider: ResourceProvider, kind: str, name: str, size: int, *, persistent: bool
) -> SharedMemory:
    """Create, reserve and map a segment; on any failure, or when cancelled or killed, nothing is left.

    Raises:
        ResourceUnavailableError: The name is taken, or there is no room now.
        ResourceLimitError: A limit of the process or of the system is in the way.
    """
    segment, token = shm.segment_name(name), provider.token()
    try:
        made = shm.draft(segment, token, lambda hidden: provider.intend(Recovery.UNLINK, hidden, volatile=True))
    except OSError as error:
        raise refusal(error, kind, name, segment) from error
    try:
        await shm.reserve(made.descriptor, size)
        mapping = mmap.mmap(made.descriptor, size)
        identity = shm.identity(made.descriptor)
        path = shm.path_of(segment)
        if path and not persistent:
            provider.intend(Recovery.UNLINK, path, proof=shm.proof(made.descriptor, identity, token), volatile=True)
        shm.publish(made, segment)
    except OSError as error:
        shm.discard(made)
        raise refusal(error, kind, name, segment, size) from error
    except BaseException:
        shm.discard(made)
        raise
    if persistent:
        provider.disclaim()
    os.close(made.descriptor)
    return SharedMemory(mapping, segment, identity, None, path, owned=not persistent)


def attach_segment(kind: str, name: str) -> SharedMemory:
    """Map an existing segment.

    Raises:
        ResourceUnavailableError: There is none of that name, or it is not complete.
        PolicyError: It belongs to another user.
    """
    segment = shm.segment_name(name)
    try:
        descriptor = shm.attach(segment)
    except OSError as error:
        raise refusal(error, kind, name, segment) from error
    try:
        found = os.fstat(descriptor)
        _check_owner(found, kind, name, segment)
        if not shm.is_published(found):
            raise ResourceUnavailableError(
                f"{kind} {name!r}: segment {segment!r} is not complete; its creator is still at it or died over it.",
                "Try again; if it stays so, remove it with MemoryProvider.remove_shared_memory(name).",
            )
        mapping = mmap.mmap(descriptor, found.st_size)
    except OSError as error:
        raise refusal(error, kind, name, segment) from error
    finally:
        os.close(descriptor)
    return SharedMemory(mapping, segment, (found.st_dev, found.st_ino), None, shm.path_of(segment), owned=False)


def attach_descriptor(kind: str, name: str, path: str) -> SharedMemory:
    """Map the nameless memory that a process of this user holds by a descriptor.

    Raises:
        InvalidRequestError: The path is none of a descriptor.
        ResourceUnavailableError: The process or its descriptor is gone, or leads to something else.
        PolicyError: It belongs to another user.
    """
    if not _BY_DESCRIPTOR.fullmatch(path):
        raise InvalidRequestError(
            f"{kind} got the path {path!r}; allowed: /proc/PID/fd/NUMBER, or /proc/self/fd/NUMBER.",
            "Pass the `path` of a memory.shared that was acquired without a name, or attach by name.",
        )
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise refusal(error, kind, name, path) from error
    try:
        found = os.fstat(descriptor)
        _check_owner(found, kind, name, path)
        if not shm.is_sealed(descriptor):
            raise ResourceUnavailableError(
                f"{kind} {name!r}: {path!r} leads to no shared memory, or to one that is not complete.",
                "Keep the memory.shared while others attach; its number may belong to something else afterwards.",
            )
        mapping = mmap.mmap(descriptor, found.st_size)
    except OSError as error:
        raise refusal(error, kind, name, path) from error
    finally:
        os.close(descriptor)
    return SharedMemory(mapping, "", (found.st_dev, found.st_ino), None, path, owned=False)


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


def _check_owner(found: os.stat_result, kind: str, name: str, what: str) -> None:
    user = os.geteuid()
    if user not in {0, found.st_uid}:
        raise PolicyError(
            f"{kind} {name!r}: {what!r} belongs to user {found.st_uid}; only memory of user {user} is attached.",
            "Let the same user create and attach, or use another name.",
        )


_REMEDIES = {
    errno.EEXIST: "Choose another name, acquire it as memory.attached, or remove it with"
    " MemoryProvider.remove_shared_memory(name).",
    errno.ENOENT: "Create it first as memory.shared, and keep it while others attach.",
    errno.EACCES: "Let the same user create and attach.",
    errno.EROFS: "Mount /dev/shm so that it can be written to, or acquire memory.shared without a name.",
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
