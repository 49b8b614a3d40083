"""Fixtures of the system tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that is on the import path of every program that `program` runs."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The empty working and home directory of every program that `program` runs."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(site: Path, home: Path) -> dict[str, str]:
    """The environment of every program that `program` runs."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("FRAMEWORK", "XDG_", "PYTHON", "LC_", "LANG"))
    }
    return {**kept, "PYTHONPATH": str(site), "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def program(home: Path, environment: dict[str, str]) -> Callable[..., Done]:
    """A function that runs the `framework` program as it is installed."""
    script = os.path.join(os.path.dirname(sys.executable), "framework")

    def run(*arguments: str, **environ: str | None) -> Done:
        changed = {key: value for key, value in {**environment, **environ}.items() if value is not None}
        options: dict[str, Any] = {"cwd": home, "env": changed, "capture_output": True, "encoding": "utf-8"}
        return subprocess.run([script, *arguments], **options, check=False, timeout=60)

    return run


class Application:
    """A program of a user, in another process."""

    def __init__(self, code: str, home: Path, environment: dict[str, str]) -> None:
        file = home / "app.py"
        file.write_text(code)
        command = [sys.executable, str(file)]
        options: dict[str, Any] = {"cwd": home, "env": environment, "stdout": subprocess.PIPE, "text": True}
        self.process: subprocess.Popen[str] = subprocess.Popen(command, start_new_session=True, **options)
        self.pid = self.process.pid

    def says(self, wanted: str) -> str:
        """Wait until it prints a line that begins so, and return the rest of it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(wanted):
                return line[len(wanted) :].strip()
        raise AssertionError(f"it ended with {self.process.wait(60)} before it said {wanted!r}")

    def ends(self) -> int:
        """Wait for its end, and return its exit code, which is below 0 for a signal."""
        return self.process.wait(60)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End it by a signal, wait for its end, and return its exit code."""
        os.kill(self.pid, number)
        return self.ends()


@pytest.fixture
def application(home: Path, environment: dict[str, str]) -> Iterator[Callable[[str], Application]]:
    """A function that starts a program of a user; what still runs afterwards is ended."""
    started: list[Application] = []

    def start(code: str) -> Application:
        started.append(Application(code, home, environment))
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)  # with what it had started
        one.ends()
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.fixture
def keeper(site: Path, home: Path, install: Callable[..., Path]) -> None:
    """The plugin `keeper` is installed, and enabled by the configuration in the home directory."""
    code = Path(__file__).with_name("keeper.py").read_text()
    kinds = ", ".join(f'"keeper.{one}"' for one in ("file", "tree", "child", "own", "bare"))
    install(site, "keeper", code, extra=f"[provides]\nkinds = [{kinds}]")
    (home / "framework.yaml").write_text("plugins: {keeper: {}}\n")
