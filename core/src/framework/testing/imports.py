"""`ImportReport`: what importing a module costs and changes, found out in a process of its own.

The child imports the kernel and its dependencies first, and looks for plugins, so that only what the module adds is
counted; a module that is there already then, because looking for it imports it, is not among those that are new.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

from framework.testing.permissions import Recorder
from framework.testing.traces import child_processes, open_descriptors

KERNEL = ("framework.host", "framework.cli", "framework.settings", "pydantic")
"""What is there before any plugin is imported."""

TIMEOUT_S = 60.0
_CHILD = """
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request["path"]
from framework.testing import imports
imports.probe(request)
"""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import did: its cost in milliseconds, the modules that are new, and what it left changed."""

    milliseconds: float
    modules: tuple[str, ...]
    effects: tuple[str, ...]
    failure: str = ""
    """Why it could not be imported; then nothing else is known."""


@functools.cache
def report(module: str) -> ImportReport:
    """Return what importing a module does; asked again for the same module, the answer is remembered."""
    return fresh_report(module)


def fresh_report(module: str) -> ImportReport:
    """Return what importing a module does in yet another process."""
    descriptor, answer = tempfile.mkstemp(prefix="framework-import-")
    os.close(descriptor)
    request = json.dumps({"path": sys.path, "module": module, "answer": answer})
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=request,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        with open(answer, encoding="utf-8") as file:
            text = file.read()
    except subprocess.TimeoutExpired:
        return ImportReport(0.0, (), (), f"it took longer than {TIMEOUT_S:g} s")
    finally:
        os.unlink(answer)
    if not text:
        return ImportReport(0.0, (), (), f"it ended the process with {done.returncode}: {done.stderr.strip()[-2000:]}")
    found = json.loads(text)
    printed = [f"it printed {done.stdout + done.stderr!r:.200}"] if done.stdout + done.stderr else []
    return ImportReport(found["milliseconds"], tuple(found["modules"]), (*found["effects"], *printed), found["failure"])


def probe(request: dict[str, Any]) -> None:
    """Import a module in this process, which is there for nothing else, and write down what happened."""
    for name in KERNEL:
        importlib.import_module(name)
    discovery = importlib.import_module("framework.discovery")
    discovery.discover()
    known, before = set(sys.modules), _state()
    failure, recorder = "", Recorder()
    begin = _worked()
    try:
        with recorder:
            importlib.import_module(request["module"])
    except BaseException as error:  # noqa: BLE001 - whatever it raises, the parent must hear of it
        failure = f"{type(error).__name__}: {error}"
    cost = _worked() - begin
    effects = [f"{name} changed" for name, value in _state().items() if value != before[name]]
    effects += [f"{event} happened" for events in recorder.seen.values() for event in sorted(events)]
    answer = {
        "milliseconds": cost * 1000,
        "modules": sorted(set(sys.modules) - known),
        "effects": effects,
        "failure": failure,
    }
    with open(request["answer"], "w", encoding="utf-8") as file:
        json.dump(answer, file)


def _state() -> dict[str, object]:
    """Return what an import must leave as it is, by name."""
    return {
        "the set of threads": set(threading.enumerate()),
        "the set of child processes": child_processes(),
        "the set of open descriptors": open_descriptors(),
        "sys.path": list(sys.path),
        "the environment": dict(os.environ),
        "the working directory": os.getcwd(),
        "a signal handler": {one: signal.getsignal(one) for one in signal.valid_signals()},
        "sys.excepthook": sys.excepthook,
    }


def _worked() -> float:
    """Return seconds of a clock that stands while this process waits for a processor that others use."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:
            waited = int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        waited = 0.0
    return time.perf_counter() - waited
