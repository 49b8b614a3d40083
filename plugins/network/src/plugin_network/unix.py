"""Unix sockets: listeners that other programs of this machine find by a path, or by an abstract name (`@name`).

A path outlives the process that made it, so what is to be removed is recorded before it is there: the socket is bound
under a hidden name that nobody else can have, recorded with what tells it from any other, and only then linked to its
path. A process that is killed in between leaves nothing that the next one cannot tell to be its own.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass

from framework import Recovery
from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from plugin_network.connecting import refusal

LONGEST = 107
"""Most bytes that the address of a Unix socket holds."""

Intend = Callable[[Recovery, str], None]


@dataclass(frozen=True, slots=True)
class SocketFile:
    """A socket's path, and what tells the socket from any other that may come to be there.

    File systems give a number of an inode away again at once, so the time of its creation belongs to it. Neither
    changes as long as the socket is there: linking, connecting and serving leave the time alone.
    """

    device: int
    inode: int
    made_ns: int
    path: str

    @classmethod
    def of(cls, found: os.stat_result, path: str) -> SocketFile:
        """Return what tells a socket from any other."""
        return cls(found.st_dev, found.st_ino, found.st_mtime_ns, path)

    @classmethod
    def decode(cls, text: str) -> SocketFile:
        """Return what `encode` made text of."""
        device, inode, made_ns, path = text.split(":", 3)
        return cls(int(device), int(inode), int(made_ns), path)

    def encode(self) -> str:
        """Return it as text, for the journal."""
        return f"{self.device}:{self.inode}:{self.made_ns}:{self.path}"

    def is_there(self) -> bool:
        """Return whether this very socket is at its path."""
        try:
            found = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and SocketFile.of(found, self.path) == self

    def remove(self) -> None:
        """Remove the socket from its path, unless it is gone or another one is there."""
        if self.is_there():
            os.unlink(self.path)

    def reclaim(self) -> None:
        """Remove what a process that died has left, unless somebody serves it: a child that it forked may.

        Raises:
            ResourceUnavailableError: Somebody does.
        """
        if self.is_there() and is_served(self.path):
            raise ResourceUnavailableError(
                f"{self.path} was made by a process that died, but somebody still listens there.",
                "End that process, or let it go on.",
                resource=self.path,
            )
        self.remove()


def is_served(path: str) -> bool:
    """Return whether somebody listens on a path."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        code = probe.connect_ex(path)
    return code in {0, errno.EAGAIN, errno.EINPROGRESS}


def listen(
    subject: str, path: str, backlog: int, token: str, intend: Intend
) -> tuple[socket.socket, SocketFile | None]:
    """Return a non-blocking listener on a path, and what to remove with it; nothing for an abstract name.

    Args:
        subject: What wants it, for messages.
        path: A path that is free in a directory that exists, or `@` and a name.
        backlog: Most connections that wait to be accepted.
        token: What nobody else's names contain.
        intend: Records what must be undone before it is done.

    Raises:
        InvalidRequestError: The path cannot be one of a socket.
        ResourceUnavailableError: It is taken, or its directory cannot be used.
    """
    length = len(os.fsencode(path))
    if not 1 < length <= LONGEST or "\0" in path:
        raise InvalidRequestError(
            f"{subject} got the path {path[:60]!r}; allowed: 2 to {LONGEST} bytes.", "Choose a shorter one."
        )
    try:
        return _listener(path, backlog, token, intend)
    except OSError as error:
        raise _refusal(subject, path, error) from error


def _listener(path: str, backlog: int, token: str, intend: Intend) -> tuple[socket.socket, SocketFile | None]:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(0)
        if not path.startswith("@"):
            return sock, _bound(sock, path, backlog, token, intend)
        sock.bind(b"\0" + os.fsencode(path[1:]))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock, None


def _bound(sock: socket.socket, path: str, backlog: int, token: str, intend: Intend) -> SocketFile:
    folder, name = os.path.split(os.path.abspath(path))
    folder, hidden = os.path.realpath(folder), f".{token}"
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        intend(Recovery.UNLINK, os.path.join(folder, hidden))
        sock.bind(_address(folder, directory, hidden))
        try:
            found = os.stat(hidden, dir_fd=directory, follow_symlinks=False)
            file = SocketFile.of(found, os.path.join(folder, name))
            intend(Recovery.PROVIDER, file.encode())
            sock.listen(backlog)  # before anybody can find it
            os.link(hidden, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.unlink(hidden, dir_fd=directory)
    finally:
        os.close(directory)
    return file


def _address(folder: str, directory: int, hidden: str) -> bytes:
    """Return an address to bind to; a hidden name is longer than most, and may not fit with all of its path."""
    address = os.fsencode(os.path.join(folder, hidden))
    return address if len(address) <= LONGEST else os.fsencode(f"/proc/self/fd/{directory}/{hidden}")


def _refusal(subject: str, path: str, error: OSError) -> ResourceError:
    if error.errno not in {errno.EEXIST, errno.EADDRINUSE}:
        return refusal(f"{subject} cannot listen on {path!r}", error)
    if path.startswith("@") or is_served(path):
        return ResourceUnavailableError(
            f"{subject} cannot listen on {path!r}: somebody does already.", "Choose another path, or end that program."
        )
    return ResourceUnavailableError(
        f"{subject} cannot listen on {path!r}: something is there, though nobody listens on it.",
        "Remove it if it is a left-over, or choose another path.",
    )
