"""The permissions that a manifest may declare, and which of them an audit event needs.

Python raises an audit event before it opens a file, connects a socket or starts a process. Who listens to them sees
what a plugin does in this process, as far as Python code does it; that is an observation, never a sandbox.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

PERMISSIONS = {
    "files": "creates, changes or removes files outside the folder for temporary files",
    "read-files": "reads files that the user names; not observed, because every program reads files all the time",
    "network": "resolves names, connects, listens or sends",
    "processes": "starts programs or forks, or sends signals to processes",
    "shared-memory": "creates, opens or removes shared memory",
    "environment": "changes environment variables of this process",
    "native-code": "loads shared libraries by itself, as with ctypes",
}
"""Every name that `[[permissions]]` knows, with what it covers."""

_BY_EVENT = {
    "subprocess.Popen": "processes",
    "os.exec": "processes",
    "os.fork": "processes",
    "os.forkpty": "processes",
    "os.kill": "processes",
    "os.killpg": "processes",
    "os.posix_spawn": "processes",
    "os.spawn": "processes",
    "os.system": "processes",
    "socket.getaddrinfo": "network",
    "socket.gethostbyname": "network",
    "socket.gethostbyaddr": "network",
    "os.putenv": "environment",
    "os.unsetenv": "environment",
    "ctypes.dlopen": "native-code",
}
_SOCKETS = {"socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg"}
_CHANGES = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.setxattr": 1,
    "os.symlink": 2,
    "os.truncate": 1,
}
"""Events that change files, with how many of their first arguments are paths."""
SHARED = "/dev/shm/"  # noqa: S108 - recognised, not used
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = {"open", *_BY_EVENT, *_SOCKETS, *_CHANGES}
"""Every event that may need a permission."""


def recognised(event: str, args: tuple[Any, ...], temporary: Iterable[str] = ()) -> str:
    """Return the permission that an audit event needs, or nothing.

    Args:
        event: Name of the event.
        args: Its arguments.
        temporary: Folders in which everybody may write.
    """
    if event in _BY_EVENT:
        return _BY_EVENT[event]
    if event in _SOCKETS:
        # a path is a socket within this machine, as asyncio and multiprocessing use to wake and to talk
        return "network" if len(args) > 1 and isinstance(args[1], tuple) else ""
    if event == "open":
        path, _, flags = args
        return _of_path(path, temporary) if isinstance(flags, int) and flags & _WRITING else ""
    paths = args[: _CHANGES.get(event, 0)]
    return next((found for found in (_of_path(path, temporary) for path in paths) if found), "")


def _of_path(path: object, temporary: Iterable[str]) -> str:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return ""  # a descriptor, whose opening was seen
    place = os.path.realpath(os.path.abspath(os.fsdecode(path)))
    if place.startswith(SHARED):
        return "shared-memory"
    if place.startswith(("/dev/", "/proc/self/", f"/proc/{os.getpid()}/")) or "__pycache__" in place:
        return ""  # bytecode is the interpreter's doing
    return "" if any(place == one or place.startswith(one + os.sep) for one in temporary) else "files"
