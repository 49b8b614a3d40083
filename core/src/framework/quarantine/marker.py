"""`Marker`: the file that is there, and locked, for as long as a plugin is being started."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import time
from typing import Any

SIZE_LIMIT = 1 << 16
STARTING = ".starting"
_DOING = {"import": "imported", "settings": "configured", "initialize": "initialized", "register": "registered"}
_RUNS, _WAITS = b"!", b"."
_BORN = time.time_ns()
"""Together with the number of the process says which markers are of one process."""
_HELD: set[int] = set()
"""Descriptors of the markers of this process."""

_numbers = itertools.count()


class Marker:
    """The file that says that a plugin is being started; it does nothing where none could be made."""

    __slots__ = ("_descriptor", "_path", "_process")

    def __init__(self, path: str = "", descriptor: int = -1) -> None:
        self._path = path
        self._descriptor = descriptor
        self._process = os.getpid()

    def enter(self, phase: str) -> None:
        """Note which phase of its start the plugin is in: import, settings, initialize or register."""
        self._note(f"phase {phase}")

    def runs(self) -> None:
        """Note that the plugin's own code begins to run: of several that start at once, that one is to blame. 1 µs."""
        self._flag(_RUNS)

    def waits(self) -> None:
        """Note that it does not run any more, only waits."""
        self._flag(_WAITS)

    def remove(self) -> bool:
        """Say that the start is over, whether it failed or not; a child that was forked meanwhile says nothing.

        Returns whether there was something to say.
        """
        if not self._owned():
            return False
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._release()
        return True

    def leave(self, seconds: float) -> None:
        """Leave the marker behind for the next sweep: the start hung for so long, and the user interrupted it."""
        if self._owned():
            self._note(f"interrupted {seconds:.0f}")
            self._release()

    def _owned(self) -> bool:
        return self._descriptor in _HELD and self._process == os.getpid()

    def _flag(self, one: bytes) -> None:
        if self._owned():
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, one, 0)

    def _note(self, line: str) -> None:
        if self._owned():
            with contextlib.suppress(OSError):
                os.write(self._descriptor, f"{line}\n".encode())

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1  # the number may be of another marker at once
        _HELD.discard(descriptor)
        os.close(descriptor)


def _close_inherited() -> None:
    """Let go of the parent's markers: a lock lives until the last descriptor of the same opening is closed."""
    while _HELD:
        os.close(_HELD.pop())


os.register_at_fork(after_in_child=_close_inherited)


def make(directory: str, name: str, version: str) -> Marker | None:
    """Return a marker, or nothing when a sweep took the file for a torn one before it was locked.

    Raises:
        OSError: It cannot be made.
    """
    import json

    facts = {"name": name, "version": version, "process": os.getpid(), "born": _BORN, "started": time.time()}
    path = os.path.join(directory, f"{os.getpid()}-{time.time_ns()}-{next(_numbers)}{STARTING}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    _HELD.add(descriptor)
    marker = Marker(path, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, _WAITS + f"{json.dumps(facts)}\n".encode())
        if os.fstat(descriptor).st_nlink:
            return marker
    except BlockingIOError:
        pass
    except BaseException:
        marker.remove()
        raise
    marker.remove()
    return None


def dead(directory: str, entry: str, stack: contextlib.ExitStack) -> tuple[str, dict[str, Any]] | None:
    """Return path and content of a marker whose starter is dead, which stays locked; remove what is none."""
    path = os.path.join(directory, entry)
    try:
        descriptor = opened(path, os.O_RDWR)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        content = _parsed(os.read(descriptor, SIZE_LIMIT))
        if content is None or not os.fstat(descriptor).st_nlink:
            os.unlink(path)  # ours, and of nobody who lives: torn while it was written
            return None
    except OSError:
        return None  # it lives, or is somebody else's, or is gone
    return path, content


def opened(path: str, flags: int) -> int:
    """Open a file of ours, and nothing else.

    Raises:
        OSError: It is a link, not a plain file, or belongs to somebody else.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    msg = f"{path} is not a file of ours"
    raise PermissionError(msg)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """Return the content of a marker, or nothing when it is not whole."""
    import json

    head, *lines = raw[1:].decode("utf-8", "replace").split("\n")
    try:
        content = json.loads(head)
    except (ValueError, RecursionError):
        return None
    kinds = {"name": str, "version": str, "process": int, "born": int, "started": float}
    if not isinstance(content, dict) or not all(type(content.get(key)) is kind for key, kind in kinds.items()):
        return None
    words = [line.partition(" ") for line in lines[:-1]]
    known = {word: rest for word, _, rest in words if word in {"phase", "interrupted"}}
    return content | known | {"running": raw[:1] == _RUNS}


def companions(one: dict[str, Any], left: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the markers of the process that one marker is of, itself included."""
    return [other for other in left if (other["process"], other["born"]) == (one["process"], one["born"])]


def reason(one: dict[str, Any], others: list[str]) -> str:
    """Return what a dead process' marker tells, as a sentence.

    Args:
        one: Content of the marker.
        others: Other plugins that the process was starting.
    """
    doing = _DOING.get(one.get("phase", ""), "started")
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one["started"]))
    where = f"(process {one['process']}, {when})"
    if "interrupted" in one:
        text = f"It hung while it was being {doing}, and was interrupted after {one['interrupted']} s {where}."
    else:
        text = f"It took the interpreter down while it was being {doing} {where}."
    if others:
        text += f" {', '.join(others)} {'was' if len(others) == 1 else 'were'} being started too, and may be to blame."
    return text
