"""`MemoryGroup`: a control group of version 1 with a limit, in which programs of a test run out of memory for real."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from typing import Any, Self

import pytest

from framework.frozen import Frozen
from framework.limits import directories

PRELUDE = """
import json, os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
"""
_SECONDS = 10.0
"""How long the kernel may take to let go of a group whose processes have ended."""


class Ended(Frozen):
    """How a program ended: its exit status (negative for a signal), its last line of output as JSON, its errors."""

    status: int
    result: Any
    errors: str
    killed: int
    """Processes of the group that the kernel has killed because memory was out."""


class MemoryGroup(contextlib.AbstractContextManager["MemoryGroup"]):
    """A group below this process' own; the test is skipped where there is no version 1, or no right to make groups.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.path = ""
        """Its directory."""

    def __enter__(self) -> Self:
        own = next((path for path, unified in directories("memory") if not unified), "")
        if not own:
            pytest.skip("needs the memory controller of control groups version 1")
        path = os.path.join(own, f"framework-test-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            os.mkdir(path)
        except OSError as error:
            pytest.skip(f"needs to make a control group below {own}: {error}")
        self.path = path
        self.limit(self._limit)
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            for process in self._read("cgroup.procs").split():
                with contextlib.suppress(OSError):
                    os.kill(int(process), signal.SIGKILL)
            try:
                os.rmdir(self.path)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                os.sched_yield()
            else:
                return

    def limit(self, size: int) -> None:
        """Allow so many bytes from now on."""
        with open(f"{self.path}/memory.limit_in_bytes", "w", encoding="ascii") as file:
            file.write(str(size))

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python program in the group; which has `json`, `os` and `sys`; arguments are `sys.argv[2:]`."""
        command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script), self.path, *arguments]
        return subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, script: str, *arguments: str, timeout: float = 100.0) -> Ended:
        """Run a program to its end, and return how it ended."""
        return self.ended(self.start(script, *arguments), timeout)

    def ended(self, program: subprocess.Popen[str], timeout: float = 100.0) -> Ended:
        """Wait for a program that `start` returned, and return how it ended."""
        with program:
            try:
                output, errors = program.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                program.kill()
                raise
        lines = output.splitlines()
        return Ended(program.returncode, json.loads(lines[-1]) if lines else None, errors, self.killed())

    def killed(self) -> int:
        """Return how many processes the kernel has killed here because memory was out."""
        rows = dict(line.split() for line in self._read("memory.oom_control").splitlines())
        return int(rows.get("oom_kill", 0))

    def _read(self, name: str) -> str:
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read()
