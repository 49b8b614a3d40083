"""Plugins are switched, kept out and let in from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Program = Callable[..., subprocess.CompletedProcess[str]]
Install = Callable[..., Path]


def states(program: Program, *arguments: str) -> dict[str, str]:
    done = program(*arguments, "plugins", "list", "-o", "json")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return {row["name"]: row["state"] for row in rows}


@pytest.fixture
def stranger(site: Path, install: Install) -> None:
    """A plugin that somebody else wrote."""
    install(site, "stranger")


@pytest.mark.usefixtures("stranger")
def test_a_plugin_is_enabled_and_disabled_in_the_file(program: Program, home: Path) -> None:
    before = states(program)
    assert before["stranger"] == "disabled"

    enabled = program("plugins", "enable", "stranger", "-o", "json")

    assert json.loads(enabled.stdout) == {"plugin": "stranger", "enabled": True, "configuration": "framework.yaml"}
    assert states(program) == {**before, "stranger": "discovered"}
    (home / "framework.yaml").write_text("# mine\n" + (home / "framework.yaml").read_text())

    assert program("plugins", "disable", "stranger").returncode == 0
    assert states(program) == before
    assert (home / "framework.yaml").read_text().startswith("# mine\n")
    assert yaml.safe_load((home / "framework.yaml").read_text())["plugins"]["stranger"] == {"enabled": False}


def test_an_unknown_plugin_is_not_written_into_the_file(program: Program, home: Path) -> None:
    done = program("plugins", "enable", "strangr")

    assert (done.returncode, done.stdout) == (2, "")
    assert "No plugin is called 'strangr'" in done.stderr
    assert not (home / "framework.yaml").exists()


@pytest.mark.usefixtures("stranger")
def test_a_file_that_cannot_be_edited_is_left_alone(program: Program, home: Path) -> None:
    (home / "framework.yaml").write_text("plugins: {stranger: {}}\n")

    done = program("plugins", "disable", "stranger")

    assert done.returncode == 2
    assert "by hand" in done.stderr
    assert (home / "framework.yaml").read_text() == "plugins: {stranger: {}}\n"


@pytest.mark.usefixtures("stranger")
def test_safe_mode_leaves_strangers_out(program: Program, home: Path) -> None:
    (home / "framework.yaml").write_text("plugins:\n  stranger: {}\n")

    assert states(program)["stranger"] == "discovered"
    assert states(program, "--safe-mode")["stranger"] == "disabled"


@pytest.mark.usefixtures("stranger")
def test_locked_refuses_what_was_changed(program: Program, home: Path, site: Path) -> None:
    (home / "framework.yaml").write_text("plugins:\n  stranger: {}\n")
    assert program("plugins", "lock").returncode == 0
    assert states(program, "--locked")["stranger"] == "discovered"

    with (site / "plugin_stranger" / "__init__.py").open("a") as file:
        file.write("# changed\n")

    assert states(program, "--locked")["stranger"] == "failed"
    assert states(program)["stranger"] == "discovered"
    assert program("--locked", "plugins", "list").returncode == 6


def test_secrets_are_not_shown(program: Program, home: Path) -> None:
    (home / "framework.yaml").write_text("plugins:\n  network: {password: hunter2}\n")

    shown = program("config", "show", "-o", "json")
    explained = program(
        "config", "explain", "plugins.network.password", FRAMEWORK__PLUGINS__NETWORK__PASSWORD="hunter3"
    )

    assert "plugins.network.password" in shown.stdout
    assert "hunter" not in shown.stdout + shown.stderr + explained.stdout + explained.stderr


@pytest.mark.usefixtures("stranger")
def test_a_plugin_without_settings_takes_none(program: Program, home: Path) -> None:
    (home / "framework.yaml").write_text("plugins:\n  stranger: {colour: red, activation: startup}\n")

    checked = program("config", "check")
    listed = program("plugins", "list", "--start", "-o", "json")

    sentence = "unknown key 'plugins.stranger.colour'; plugin 'stranger' has no settings"
    assert checked.returncode == 2
    assert sentence in checked.stderr
    assert sentence in next(row["reason"] for row in json.loads(listed.stdout) if row["name"] == "stranger")


def test_a_second_interrupt_during_the_exit_changes_nothing(environment: dict[str, str], home: Path) -> None:
    code = (
        "import atexit, os, signal\nfrom framework import cli\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "cli.main(['--version'])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
