"""`framework plugins check` and `framework plugins refresh`, run as users run them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]


def results(done: Done, code: int) -> dict[str, str]:
    """Return the reason by name, empty for what is well."""
    assert done.returncode == code, done.stderr
    rows = json.loads(done.stdout)
    assert all((one["result"] == "ok") == (one["reason"] == "") for one in rows)
    return {one["name"]: one["reason"] for one in rows}


def test_everything_installed_is_checked_and_faults_are_rows(program: Program, site: Path, install: Install) -> None:
    install(site, "good", "raise SystemExit('imported')\n", extra='requires = ["x >= 1, < 2"]\noptional = ["y"]')
    assert results(program("plugins", "check", "-o", "json"), 0)["good"] == ""
    install(site, "away", entry_points="[framework.plugins]\naway = plugin_nowhere:X\n")
    install(site, "torn", manifest="name = ")
    install(site, "odd", extra='requires = ["x>=1,<<2"]')
    install(site, "wish", extra='optional = ["x>=banana"]')
    install(site, "model", extra='settings = "plugin_model.settings:Model"')
    install(site, "version", extra='version = "the newest"')
    install(site, "able", extra='[[permissions]]\nname = "networks"\nreason = "to connect"')
    found = results(program("plugins", "check", "-o", "json"), 6)
    assert found["good"] == ""
    assert "names the module 'plugin_nowhere', which is not there" in found["away"]
    assert "is not TOML" in found["torn"]
    assert "requires of 'odd' has 'x>=1,<<2', whose range '>=1,<<2' cannot be parsed" in found["odd"]
    assert "optional of 'wish' has 'x>=banana'" in found["wish"]
    assert "settings of 'model' names the module 'plugin_model.settings', which is not there" in found["model"]
    assert "'the newest'" in found["version"]
    assert "'able' declares the permission 'networks'; allowed: files, " in found["able"]
    assert "Did you mean 'network'?" in found["able"]


def test_two_that_are_enabled_and_promise_the_same_are_both_at_fault(
    program: Program, home: Path, site: Path, install: Install
) -> None:
    for name in ("one", "two"):
        install(site, name, extra='[provides]\nkinds = ["same.kind"]')
    (home / "framework.yaml").write_text("plugins: {one: {}}")
    assert set(results(program("plugins", "check", "-o", "json"), 0).values()) == {""}
    (home / "framework.yaml").write_text("plugins: {one: {}, two: {}}")
    found = results(program("plugins", "check", "one", "two", "-o", "json"), 6)
    assert "'two' promises the kind 'same.kind'" in found["one"]
    assert "'one' promises the kind 'same.kind'" in found["two"]
    assert "'two' promises the kind" in program("plugins", "list").stdout


@pytest.mark.parametrize("where", ["plugin_one", "plugin_one/", "./plugin_one", "plugin_one/plugin.toml"])
def test_a_package_is_checked_where_it_lies(program: Program, home: Path, install: Install, where: str) -> None:
    install(home, "one", extra='settings = "plugin_one.settings:Model"')
    assert "is not there" in results(program("plugins", "check", where, "-o", "json"), 6)["one"]
    (home / "plugin_one" / "settings.py").write_text("raise SystemExit('imported')\n")
    assert results(program("plugins", "check", where, "-o", "json"), 0) == {"one": ""}
    (home / "plugin_one" / "plugin.toml").write_text("surprise = 1")
    (reason,) = results(program("plugins", "check", where, "-o", "json"), 6).values()
    assert "unknown key 'surprise'" in reason


def _endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, _endless, Path.mkdir])
def test_what_is_no_file_is_refused_at_once(program: Program, home: Path, make: Callable[[Path], None]) -> None:
    make(home / "plugin.toml")
    assert (
        len(results(program("plugins", "check", "./plugin.toml" if make is not Path.mkdir else ".", "-o", "json"), 6))
        == 1
    )


def test_installed_plugins_are_checked_by_name(program: Program, home: Path, site: Path, install: Install) -> None:
    install(site, "good")
    install(site, "torn", manifest="name = ")
    (home / "good").mkdir()  # a folder of that name does not hide the plugin
    assert results(program("plugins", "check", "good", "-o", "json"), 0) == {"good": ""}
    assert results(program("plugins", "check", "good", "torn", "-o", "json"), 6).keys() == {"good", "torn"}


@pytest.mark.parametrize("subject", ["./nothing", "nothing.toml", "/nowhere/at/all", "gooood"])
def test_what_does_not_exist_is_a_usage_error(program: Program, site: Path, install: Install, subject: str) -> None:
    install(site, "good")
    done = program("plugins", "check", subject)
    assert done.returncode == 2
    assert subject in done.stderr
    assert done.stdout == ""


def test_refresh_says_what_is_different_and_where_the_index_is(
    program: Program, home: Path, site: Path, install: Install
) -> None:
    first = program("plugins", "refresh", "-o", "json")
    assert first.returncode == 0, first.stderr
    index = next((home / ".cache" / "framework" / "discovery").glob("*.index"))
    assert f"The index {index} knows" in first.stderr
    install(site, "new")
    done = program("plugins", "refresh", "-o", "json")
    assert {"name": "new", "change": "added"} in json.loads(done.stdout)


def test_a_damaged_index_is_said_and_repaired(program: Program, home: Path, site: Path, install: Install) -> None:
    install(site, "good")
    (home / "framework.yaml").write_text("plugins: {}\n")
    assert program("plugins", "list").returncode == 0
    index = next((home / ".cache" / "framework" / "discovery").glob("*.index"))
    index.write_bytes(b"damage")
    listed = program("plugins", "list", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    rows = {one["name"]: one["reason"] for one in json.loads(listed.stdout)}
    assert "is damaged; it is written anew" in rows["? discovery index"]
    assert "good" in rows
    again = program("plugins", "list", "-o", "json")
    assert "? discovery index" not in again.stdout


def test_no_index_is_kept_where_it_is_switched_off(program: Program, home: Path) -> None:
    (home / "framework.yaml").write_text("plugins: {}\n")
    assert program("plugins", "list", FRAMEWORK_NO_INDEX="1").returncode == 0
    assert not (home / ".cache").exists()
