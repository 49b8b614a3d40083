"""Ends processes that carry the token of a lease in their environment.

Never by number: a number is given to another process sooner or later. What a descriptor of a process (pidfd) leads to
stays the same, so each is opened first, looked at then, and signalled last.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

VARIABLE = "FRAMEWORK_LEASE"
"""Names the leases that a process was started for; several, innermost last, are separated by colons."""

PAUSE = 0.05
"""Seconds between two looks: a child that was just being started has its environment only after a moment."""

_NAME = f"{VARIABLE}=".encode()


def carriers(tokens: set[str]) -> Iterator[tuple[int, set[str]]]:
    """Yield a descriptor of each other process that carries one of the tokens, and which; the caller closes it."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _tokens(name) & tokens:
            try:
                descriptor = os.pidfd_open(int(name))
            except OSError:
                continue
            found = _tokens(name) & tokens  # once more: the number may be another's since
            if found:
                yield descriptor, found
            else:
                os.close(descriptor)


def kill(tokens: set[str], deadline: float) -> set[str]:
    """End every process that carries one of the tokens, until two looks in a row find none.

    Args:
        tokens: Of leases whose owners are dead.
        deadline: When to give up, by `time.monotonic`.

    Returns:
        The tokens that somebody still carries.
    """
    left = tokens
    clean = 0
    if not os.path.isdir("/proc/self"):  # nobody's environment can be seen
        return left
    while tokens and clean < 2:
        left = _round(tokens)
        clean = 0 if left else clean + 1
        if clean < 2:
            if time.monotonic() >= deadline:
                break
            time.sleep(PAUSE)
    return left


def _round(tokens: set[str]) -> set[str]:
    found: set[str] = set()
    for descriptor, carried in carriers(tokens):
        try:
            found |= carried
            with contextlib.suppress(OSError):  # it has just ended, or took another user's rights
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
    return found


def _tokens(pid: str) -> set[str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            raw = file.read()
    except OSError:  # gone, or another user's
        return set()
    for part in raw.split(b"\0") if _NAME in raw else ():
        if part.startswith(_NAME):
            return set(part[len(_NAME) :].decode("ascii", "replace").split(":"))
    return set()
