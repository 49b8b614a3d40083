"""Ends processes that carry the token of a lease in their environment.

Never by number: a number is given to another process sooner or later. What a descriptor of a process (pidfd) leads to
stays the same, so each is opened first, looked at then, and signalled last.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

VARIABLE = "FRAMEWORK_LEASE"
"""Names the leases that a process was started for; several, innermost last, are separated by colons."""

PAUSE = 0.05
"""Seconds between two looks: a child that was just being started has its environment only after a moment."""

PATIENCE = 2.0
"""Seconds that processes may take to end."""

_NAME = f"{VARIABLE}=".encode()


def carriers(tokens: set[str]) -> Iterator[tuple[int, set[str]]]:
    """Yield a descriptor of each other process that carries one of the tokens, and which; open until the next one.

    Raises:
        OSError: Not every process can be looked at just now.
    """
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _tokens(name) & tokens:
            try:
                descriptor = os.pidfd_open(int(name))
            except ProcessLookupError:
                continue
            try:
                found = _tokens(name) & tokens  # once more: the number may be another's since
                if found:
                    yield descriptor, found
            finally:
                os.close(descriptor)


def kill(tokens: set[str], deadline: float, *, starting: Callable[[], bool] = lambda: False) -> set[str]:
    """End every process that carries one of the tokens, until two looks in a row find none.

    Args:
        tokens: Of leases whose owners are dead.
        deadline: When to give up, by `time.monotonic`; one process that does not end must not keep up all else.
        starting: Whether a child of such an owner is between fork and exec, where it does not carry its token yet; on a
            busy machine that may be longer than two looks.

    Returns:
        The tokens that somebody may still carry.
    """
    deadline = min(deadline, time.monotonic() + PATIENCE)
    left = tokens
    clean = final = 0
    while tokens and final < 2:
        begun = starting()  # asked first: it may carry its token a moment after the look
        try:
            left = _round(tokens) if can_look() else tokens
        except OSError:  # for want of descriptors, or of memory
            left = tokens
        clean = 0 if left else clean + 1
        final = 0 if begun else min(clean, final + 1)
        if final < 2:
            if time.monotonic() >= deadline:
                return left or (tokens if clean < 2 else left)
            time.sleep(PAUSE)
    return left


def can_look() -> bool:
    """Return whether `/proc` shows the processes that can be signalled from here, by the same numbers."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _round(tokens: set[str]) -> set[str]:
    found: set[str] = set()
    for descriptor, carried in carriers(tokens):
        found |= carried
        with contextlib.suppress(OSError):  # it has just ended, or took another user's rights
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    return found


def _tokens(pid: str) -> set[str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            raw = file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or another user's
        return set()
    for part in raw.split(b"\0") if _NAME in raw else ():
        if part.startswith(_NAME):
            return set(part[len(_NAME) :].decode("ascii", "replace").split(":"))
    return set()
