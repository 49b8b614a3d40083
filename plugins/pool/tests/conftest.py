from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def framework(tmp_path: Path) -> Run:
    """Return what runs the program in a process of its own, in an empty folder, with a pool that a file describes."""

    def run(*arguments: str, pool: str = "{}", **variables: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "framework.yaml"
        file.write_text(f"plugins:\n  pool: {pool}\n")
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "FRAMEWORK_CONFIG": str(file)}
        command = [sys.executable, "-c", "from framework.cli import main; main()", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, env={**environment, **variables}, cwd=tmp_path
        )

    return run
