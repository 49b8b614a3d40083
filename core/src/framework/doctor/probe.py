"""The program that imports and constructs one plugin, alone in a process, and tells what it saw.

Its task comes as JSON on standard input. What it sees goes as JSON, one line each, to the descriptor that the task
names, as soon as it is seen: the plugin may end the process at any moment. It is no sandbox.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import sys
import time
from typing import Any

from framework.audit import recognised
from framework.doctor.examination import BEGIN
from framework.manifest import Manifest
from framework.plugins import loading, observation

_SHOWN = 240


class _Ear:
    """Hears audit events, and tells each permission and what it was used for once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told: set[tuple[str, str]] = set()
        self._busy = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            # `import ctypes` opens the program itself, which is nothing of the plugin's
            own = event == "ctypes.dlopen" and not arguments[0]
            name = "" if own else recognised(event, arguments)
            use = (name, f"{event}: {self._subject(event, arguments)}" if arguments else event)  # os.fork has none
            if name and use not in self._told:
                self._told.add(use)
                tell(self._descriptor, {"permission": name, "use": use[1]})
        except Exception:  # noqa: BLE001, S110 - what raises here would look like the plugin's fault
            pass
        finally:
            self._busy = False

    @staticmethod
    def _subject(event: str, arguments: tuple[Any, ...]) -> str:
        """Return what it was done to; never the arguments of a program, which may hold secrets."""
        subject = arguments[1 if event.startswith("socket.") and event != "socket.getaddrinfo" else 0]
        text = subject if isinstance(subject, str) else repr(subject)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def tell(descriptor: int, what: dict[str, Any]) -> None:
    """Write one line for the examiner."""
    os.write(descriptor, f"{json.dumps(what)}\n".encode())


def outcome(error: BaseException | None) -> dict[str, str]:
    """Return in one word and one sentence how importing and constructing ended."""
    if error is None:
        return {"outcome": "ok", "reason": ""}
    causes, one = [error], error
    while (one := one.__cause__ or one.__context__) is not None and one not in causes:  # type: ignore[assignment]  # None ends the loop
        causes.append(one)
    word = next(
        (word for kind, word in ((MemoryError, "memory"), (SystemExit, "exit")) if _any(causes, kind)), "raised"
    )
    return {"outcome": word, "reason": f"{loading.described(error)}."}


def _any(errors: list[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(one, kind) for one in errors)


def _limit(soft: int, hard: int) -> None:
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses it
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def main() -> None:
    """Do the task and end the process, whatever threads the plugin left."""
    task = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:] = task["path"]
    descriptor: int = task["descriptor"]
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(0.05, task["deadline"] - time.monotonic() - 0.3))
    before, modules = observation.look(), len(sys.modules)
    former = resource.getrlimit(resource.RLIMIT_AS)
    _limit(task["memory"], former[1])
    sys.addaudithook(_Ear(descriptor))
    sys.stderr.write(f"{BEGIN}\n")
    sys.stderr.flush()
    failure, begin = None, time.perf_counter()
    try:
        loading.settings_model(manifest := Manifest(**task["manifest"]))
        loading.load(manifest)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is the finding
        failure = error
    seconds = time.perf_counter() - begin
    _limit(*former)  # what is left to say needs memory, too
    told = {"seconds": seconds, "modules": len(sys.modules) - modules}
    tell(descriptor, outcome(failure) | told | {"changes": observation.changes(before, observation.look())})
    os._exit(0)


if __name__ == "__main__":
    main()
