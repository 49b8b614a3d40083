"""Fixtures of the system tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
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
