"""`framework plugins quarantine`, `unquarantine` and `lock`, run as operators run them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]

EXPLODES = "raise SystemExit('imported')\n"


@pytest.fixture(autouse=True)
def mine(site: Path, home: Path, install: Install) -> None:
    """One plugin, which nobody may import."""
    install(site, "mine", EXPLODES)
    (home / "framework.yaml").write_text("plugins: {mine: {}}\n")


def rows(done: Done, code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_plugin_is_put_into_quarantine_listed_and_let_out(program: Program) -> None:
    assert rows(program("plugins", "quarantine", "-o", "json")) == []
    (added,) = rows(program("plugins", "quarantine", "mine", "--reason", "It is bad.", "-o", "json"))
    assert added.pop("since").endswith("Z")
    assert added == {"name": "mine", "version": "1.0", "reason": "It is bad."}
    (listed,) = rows(program("plugins", "quarantine", "-o", "json"))
    assert listed["name"] == "mine"
    done = program("plugins", "unquarantine", "mine")
    assert (done.returncode, done.stdout) == (0, "")
    assert "'mine' left the quarantine" in done.stderr
    assert rows(program("plugins", "quarantine", "-o", "json")) == []


@pytest.mark.usefixtures("mine")
def test_an_upgrade_lets_a_plugin_out(program: Program, site: Path) -> None:
    rows(program("plugins", "quarantine", "mine", "-o", "json"))
    (site / "plugin_mine-1.0.dist-info").rename(site / "plugin_mine-1.1.dist-info")
    metadata = site / "plugin_mine-1.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert rows(program("plugins", "quarantine", "-o", "json")) == []


def test_mistakes_with_the_quarantine_are_answered(program: Program) -> None:
    done = program("plugins", "quarantine", "min")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'mine'?" in done.stderr
    done = program("plugins", "quarantine", "--reason", "x")
    assert done.returncode == 2
    assert "without a plugin" in done.stderr
    done = program("plugins", "unquarantine", "mine")
    assert done.returncode == 2
    assert "Plugin 'mine' is not in quarantine; there are none." in done.stderr


def test_the_lock_is_written_beside_the_configuration_and_holds(program: Program, home: Path, site: Path) -> None:
    (written,) = rows(program("plugins", "lock", "-o", "json"))
    assert (written["name"], written["version"], len(written["sha256"])) == ("mine", "1.0", 64)
    before = (home / "framework.lock").read_bytes()
    assert rows(program("plugins", "lock", "--check", "-o", "json")) == []
    (site / "plugin_mine" / "__init__.py").write_text("changed = 1\n")
    (differs,) = rows(program("plugins", "lock", "--check", "-o", "json"), code=6)
    assert "its files are others" in differs["reason"]
    assert (home / "framework.lock").read_bytes() == before
    program("plugins", "lock")
    assert rows(program("plugins", "lock", "--check", "-o", "json")) == []


def test_plugins_that_came_and_went_differ_from_the_lock(
    program: Program, home: Path, site: Path, install: Install
) -> None:
    program("plugins", "lock")
    install(site, "late", EXPLODES)
    (home / "framework.yaml").write_text("plugins: {late: {}}\n")
    reasons = {one["name"]: one["reason"] for one in rows(program("plugins", "lock", "--check", "-o", "json"), code=6)}
    assert reasons["late"].startswith("Plugin 'late' is not in the lock.")
    assert reasons["mine"] == "Plugin 'mine' is in the lock, but is not enabled."


def test_what_cannot_be_locked_is_said(program: Program, home: Path) -> None:
    done = program("plugins", "lock", "--check")
    assert done.returncode == 2
    assert "framework.lock cannot be read: No such file" in done.stderr
    (home / "framework.yaml").write_text("plugins: {mine: {}, gone: {}}\n")
    done = program("plugins", "lock")
    assert done.returncode == 6
    assert "Plugin 'gone' cannot be locked." in done.stderr
    assert not (home / "framework.lock").exists()
