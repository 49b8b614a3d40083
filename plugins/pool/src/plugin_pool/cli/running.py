"""Asks the pools of running programs of this user, each by its socket; see `plugin_pool.hosting.listener`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from framework.errors import ResourceUnavailableError
from plugin_pool.hosting.listener import EARLY, PATIENCE, SUFFIX, reachable


def asked(directory: str, question: dict[str, Any], pid: int | None = None) -> list[dict[str, Any]]:
    """Return the answer of each running program that has a pool, or of one; a socket that nobody listens to is removed.

    One that does not answer in time, as because it is stopped, answers with an `error`.

    Args:
        directory: Where the sockets are.
        question: As the listener takes it.
        pid: The number of the only process that is asked.

    Raises:
        ResourceUnavailableError: There is no pool in that process, or the directory cannot be read.
    """
    found = [one for one in _answers(directory, question, pid) if one["pid"] != os.getpid()]
    if pid is not None and not found:
        raise ResourceUnavailableError(
            f"The process {pid} has no pool that answers.",
            "Leave --pid out to see those that have one; plugins.pool.answer in their configuration must not be false.",
        )
    return found


def _answers(directory: str, question: dict[str, Any], pid: int | None) -> Iterator[dict[str, Any]]:
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise ResourceUnavailableError(
            f"The directory {directory!r} cannot be read: {error.strerror}.", "See to it that you may read it."
        ) from error
    for name in names:
        path = os.path.join(directory, name)
        number = name.removeprefix(EARLY).partition("-")[0]
        if not name.endswith(SUFFIX) or not number.isdecimal() or pid not in (None, int(number)):
            continue
        with contextlib.suppress(FileNotFoundError):  # it ended just now
            if name.startswith(EARLY):
                if not os.path.exists(f"/proc/{number}"):
                    os.unlink(path)
            elif (answer := _asked(path, question)) is not None:
                yield {"pid": int(number), "program": "", **answer}
            else:
                os.unlink(path)


def _asked(path: str, question: dict[str, Any]) -> dict[str, Any] | None:
    """Return an answer; None where the process that made the socket is gone."""
    found = b""
    try:
        with reachable(path) as short, socket.socket(socket.AF_UNIX) as one:
            one.settimeout(2 * PATIENCE)  # it may be answering somebody else who is slow
            one.connect(short)
            one.sendall(json.dumps(question).encode() + b"\n")
            while more := one.recv(1 << 16):
                found += more
        answer = json.loads(found)
        return answer if isinstance(answer, dict) else {"error": "It answers with nonsense."}
    except ConnectionRefusedError:
        return None
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        late = isinstance(error, TimeoutError)
        return {"error": "It does not answer; perhaps it is stopped." if late else f"It does not answer: {error}."}
