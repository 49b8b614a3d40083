"""Examines a plugin: imports and constructs it in a process of its own, within limits of time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from framework.doctor import integrity
from framework.doctor.integrity import Integrity
from framework.manifest import Manifest

TIMEOUT_S = 20.0
MEMORY_BYTES = 4 << 30
"""Address space of the process, of which threads and libraries reserve much more than they use."""

BEGIN = "framework: the plugin is imported from here on"
"""Line of the probe on standard error; what `-X importtime` says before it is not the plugin's."""

SLOWEST = 3
_KEPT = 1 << 22
_IMPORT = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)

Outcome = Literal["ok", "raised", "exit", "signal", "timeout", "memory", "broken"]


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found out about one plugin.

    `outcome` is ok, raised (an error), exit (it ended the interpreter), signal (something killed it), timeout, memory,
    or broken (there is nothing to import). `slowest` holds module and seconds, without what the module itself imports.
    `observed` holds what was done by permission; that is observed, not enforced, and ends with the process.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    modules: int = 0
    slowest: tuple[tuple[str, float], ...] = ()
    changes: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    observed: dict[str, list[str]] = field(default_factory=dict)
    files: Integrity = field(default_factory=Integrity)

    @property
    def healthy(self) -> bool:
        """Whether it can be imported and nobody changed its files."""
        return self.outcome == "ok" and not self.files.problems

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Permissions of which it made use without saying so in its manifest."""
        return tuple(sorted(self.observed.keys() - set(self.declared)))


def examine(one: Manifest, *, timeout: float = TIMEOUT_S, memory: int = MEMORY_BYTES) -> Examination:
    """Import and construct a plugin in a process of its own, and compare its files with what was installed.

    Args:
        one: The plugin.
        timeout: Seconds that the process may take.
        memory: Bytes of address space that it may use.
    """
    run = _Run(one, timeout, memory)
    run.wait()
    reports = list(_lines(run.told))
    observed: dict[str, list[str]] = {}
    for report in reports:
        if "permission" in report:
            observed.setdefault(report["permission"], []).append(report["use"])
    last = next((report for report in reports if "outcome" in report), None) or run.verdict()
    return Examination(
        one.name,
        last["outcome"],
        last["reason"],
        last.get("seconds", 0.0),
        last.get("modules", 0),
        _slowest(run.said),
        tuple(last.get("changes", ())),
        tuple(each.name for each in one.permissions),
        observed,
        integrity.verify(one.distribution),
    )


class _Pipe:
    """What a process writes, read without waiting and kept as far as it fits: the beginning and the end."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._content = b""

    def drain(self) -> None:
        """Read what is there."""
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self._ours, 1 << 16):
                self._content += more
                if len(self._content) > _KEPT:
                    self._content = self._content[: _KEPT // 2] + self._content[-_KEPT // 4 :]

    def close(self) -> str:
        """Read the rest and close; return what was written."""
        self.drain()
        os.close(self._ours)
        return self._content.decode("utf-8", "replace")


class _Run:
    """One process of the probe; `told` is what it tells the examiner, `said` what it wrote to standard error."""

    def __init__(self, one: Manifest, timeout: float, memory: int) -> None:
        self.told, self.said = "", ""
        self._timeout = timeout
        self._late = False
        self._telling, self._saying = _Pipe(), _Pipe()
        theirs = (self._telling.theirs, self._saying.theirs)
        fields = {name: getattr(one, name) for name in ("name", "entry_point", "settings", "path", "location")}
        fields |= {"type": one.type or "provider", "version": one.version, "requires": list(one.requires)}
        task: dict[str, Any] = {"manifest": fields, "path": sys.path, "descriptor": theirs[0], "memory": memory}
        task["deadline"] = self._deadline = time.monotonic() + timeout
        command = [sys.executable, "-P", "-X", "importtime", "-m", "framework.doctor.probe"]
        ends: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": theirs[1]}
        try:
            self._process = subprocess.Popen(command, **ends, pass_fds=theirs[:1], start_new_session=True)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stream:  # type: ignore[union-attr]  # it is a pipe
            stream.write(json.dumps(task).encode())

    def wait(self) -> None:
        """Read until the process ended or is late, then end all that is left of it."""
        while not (ended := self._ended()) and time.monotonic() < self._deadline:
            self._telling.drain()
            self._saying.drain()
            time.sleep(0.01)
        self._late = not ended
        with contextlib.suppress(ProcessLookupError):  # before it is reaped, while the number is surely its own
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.told, self.said = self._telling.close(), self._saying.close().partition(BEGIN)[2]

    def verdict(self) -> dict[str, Any]:
        """Return how a process ended that could not say so itself."""
        code = self._process.returncode
        where = _place(self.said)
        if self._late:
            return {"outcome": "timeout", "reason": f"It did not end within {self._timeout:g} s{where}."}
        if code < 0:
            return {"outcome": "signal", "reason": f"It was ended by {_signal(-code)}{where}."}
        return {"outcome": "exit", "reason": f"It ended the interpreter with code {code}{where}."}

    def _ended(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None


def _lines(told: str) -> Iterator[dict[str, Any]]:
    for line in told.splitlines():
        with contextlib.suppress(ValueError):  # cut off, or written by the plugin
            content = json.loads(line)
            if isinstance(content, dict):
                yield content


def _slowest(said: str) -> tuple[tuple[str, float], ...]:
    """Return the modules whose own code took longest to run, with seconds."""
    found = sorted(((int(took), name) for took, name in _IMPORT.findall(said)), reverse=True)
    return tuple((name, took / 1e6) for took, name in found[:SLOWEST])


def _place(said: str) -> str:
    """Return where the process was when it ended: the innermost place outside the standard library."""
    frames = _FRAME.findall(said)
    inside = os.path.dirname(os.__file__)
    own = [file for file in frames if not file[0].startswith((inside, "<")) or "site-packages" in file[0]]
    return next((f", at {file}:{line}" for file, line in [*own, *frames]), "")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
