"""A stranger's plugin for real: made, built, installed from wheels beside ours, used, broken and uninstalled.

Nothing of the workspace is on the path of the environment that is made here. Dependencies come from the index, or from
uv's cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UV = os.environ.get("UV") or shutil.which("uv")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,  # all use one environment, which two workers would make twice
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.path.isdir(os.path.join(ROOT, "plugins", "memory")), reason="its neighbour is the plugin memory"
    ),
    pytest.mark.skipif(UV is None, reason="uv is not installed, which builds and installs the wheels"),
]

CONFIGURATION = """
plugins:
  example:
    max_bytes: 8192
  memory:
"""
APPLICATION = """
import asyncio
import sys

from framework import Framework
from framework.errors import FrameworkError


async def main() -> None:
    async with Framework.from_config("framework.yaml") as fw:
        async with fw.acquire("memory.buffer", size=16):
            print("memory works")
        try:
            async with fw.acquire("example.thing", size=4096) as thing:
                thing.content[:2] = b"ok"
                print("example lends", len(thing.content), [one.kind for one in fw.leases()])
            async with fw.acquire("example.thing", size=9000):
                print("example lends too much")
        except FrameworkError as error:
            print(type(error).__name__, error)
        print("held at the end:", len(fw.leases()))


asyncio.run(main())
"""


@dataclass(frozen=True)
class Environment:
    """A fresh environment with nothing in it but wheels, and an application that uses it."""

    home: Path
    wheels: Path

    @property
    def python(self) -> Path:
        return self.home / "venv" / "bin" / "python"

    @property
    def package(self) -> Path:
        (found,) = (self.home / "venv").glob("lib/python*/site-packages/plugin_example")
        return found

    def run(self, *arguments: str | Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("FRAMEWORK", "PYTHON", "VIRTUAL_"))
        }
        done = subprocess.run(
            [str(one) for one in arguments],
            cwd=self.home,
            env={
                **kept,
                "XDG_CACHE_HOME": str(self.home / "cache"),
                "XDG_STATE_HOME": str(self.home / "state"),
                **_UV_CACHE,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def install(self, *arguments: str | Path) -> None:
        # copied, because the tests change files in place, which must not reach uv's cache through a hard link
        always: list[str | Path] = [
            "--quiet",
            "--link-mode",
            "copy",
            "--exclude-newer",
            _newest(),
            "--python",
            self.python,
        ]
        self.run(str(UV), "pip", "install", *always, *arguments)

    def framework(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(self.python.parent / "framework", *arguments, ok=ok)

    def use(self) -> str:
        done = self.run(self.python, "application.py")
        return done.stdout

    def listed(self, *arguments: str) -> dict[str, dict[str, Any]]:
        done = self.framework("plugins", "list", *arguments, "-o", "json", ok=False)
        return {row["name"]: row for row in json.loads(done.stdout)}


def _uv_cache() -> dict[str, str]:
    """Return the variable that keeps uv at the cache it always uses, although the others are moved."""
    if UV is None:
        return {}
    found = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True, timeout=60)
    return {"UV_CACHE_DIR": found.stdout.strip()}


_UV_CACHE = _uv_cache()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment with our wheels and the stranger's, which was made by `framework plugins new`."""
    home = tmp_path_factory.mktemp("third-party")
    one = Environment(home, home / "wheels")
    script = os.path.join(os.path.dirname(sys.executable), "framework")
    one.run(script, "plugins", "new", "example", "--directory", str(home / "made"))
    one.run(str(UV), "build", "--quiet", "--all-packages", "--wheel", "--out-dir", one.wheels, ROOT)
    one.run(str(UV), "build", "--quiet", "--wheel", "--out-dir", one.wheels, home / "made")
    one.run(str(UV), "venv", "--quiet", "--python", sys.executable, home / "venv")
    one.install(*sorted(one.wheels.glob("*.whl")))
    (home / "framework.yaml").write_text(CONFIGURATION)
    (home / "application.py").write_text(APPLICATION)
    return one


def _newest() -> str:
    """Return the day that the workspace's own dependencies are frozen at."""
    import tomllib

    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        day: str = tomllib.load(file)["tool"]["uv"]["exclude-newer"]
    return day


@pytest.fixture
def whole(environment: Environment) -> Iterator[Environment]:
    """The environment, whose stranger is put back as it was after a test that breaks it."""
    package = environment.package
    copy = environment.home / "as-it-was"
    shutil.copytree(package, copy)
    yield environment
    shutil.rmtree(package)
    shutil.move(copy, package)


def test_the_wheels_hold_what_is_no_python(environment: Environment) -> None:
    held = {}
    for wheel in environment.wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            held[wheel.name.partition("-")[0]] = set(archive.namelist())
    plugins = {name for name in held if name.startswith("plugin_")}

    assert {f"plugin_{name}" for name in os.listdir(os.path.join(ROOT, "plugins"))} | {"plugin_example"} == plugins
    for name in plugins:
        assert {f"{name}/py.typed", f"{name}/plugin.toml"} <= held[name], name
        assert [one for one in held[name] if "test" in one] == [], name
    template = os.path.join(ROOT, "core", "src", "framework", "cli", "template")
    files = [os.path.join(place, name) for place, _, names in os.walk(template) for name in names]
    assert len(files) > 10
    assert {os.path.relpath(one, os.path.join(ROOT, "core", "src")) for one in files} <= held["framework_core"]
    assert "framework/py.typed" in held["framework_core"]


def test_the_environment_is_independent_of_the_workspace(environment: Environment) -> None:
    code = "import framework, plugin_example, plugin_memory; print(framework.__file__, plugin_memory.__file__)"

    files = environment.run(environment.python, "-c", code).stdout.split()

    assert [one for one in files if not one.startswith(str(environment.home))] == []


def test_it_is_listed_started_and_used_like_ours(environment: Environment) -> None:
    rows = environment.listed("--start")

    assert {name: row["state"] for name, row in rows.items() if name in {"example", "memory"}} == dict.fromkeys(
        ["example", "memory"], "active"
    )
    assert (rows["example"]["distribution"], rows["example"]["provides"]) == ("plugin-example", ["example.thing"])
    assert re.sub(r"\[\d+\]", "[PID]", environment.use()) == (
        "memory works\n"
        "example lends 4096 ['example.thing']\n"
        "ResourceLimitError example.thing: owner 'application.py[PID]' asked for 9000 bytes, but of the 8192 bytes that"
        " plugins.example.max_bytes allows, 0 are held by all owners together."
        " Release something, ask for less, or raise plugins.example.max_bytes.\n"
        "held at the end: 0\n"
    )
    assert "example.thing" in environment.framework("resources", "kinds").stdout


def test_its_own_tests_pass_where_it_is_installed(environment: Environment) -> None:
    wheel = next(environment.wheels.glob("framework_core-*.whl"))
    environment.install(f"framework-core[testing] @ file://{wheel}")

    done = environment.run(
        environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", environment.home / "made"
    )

    assert "passed" in done.stdout
    assert "failed" not in done.stdout


def _raise(package: Path) -> None:
    (package / "plugin.py").write_text("raise RuntimeError('broken by hand')\n")


def _corrupt(package: Path) -> None:
    (package / "plugin.toml").write_bytes(b"schema = \xff\xfe")


def _delete(package: Path) -> None:
    (package / "provider.py").unlink()


def _exit(package: Path) -> None:
    (package / "provider.py").write_text("raise SystemExit(5)\n")


def _unfit(package: Path) -> None:
    file = package / "settings.py"
    file.write_text(file.read_text().replace("1 << 24, ge=0", "1 << 24, ge=1 << 20"))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_raise, "RuntimeError: broken by hand"),
        (_corrupt, "is not UTF-8"),
        (_delete, "No module named 'plugin_example.provider'"),
        (_exit, "SystemExit"),
        (_unfit, "max_bytes"),
    ],
)
def test_broken_it_leaves_the_others_alive_and_says_why(
    whole: Environment, damage: Callable[[Path], None], reason: str
) -> None:
    damage(whole.package)

    rows = whole.listed("--start")

    assert rows["memory"]["state"] == "active"
    assert rows["example"]["state"] == "failed"
    assert reason in rows["example"]["reason"]
    assert whole.framework("plugins", "list", "--start", ok=False).returncode == 6
    memory, example, end = whole.use().splitlines()
    assert (memory, end) == ("memory works", "held at the end: 0")
    assert example.startswith("UnknownKindError ")


def test_disabled_it_is_not_imported(whole: Environment) -> None:
    (whole.package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    disabled = ("--set", "plugins.example.enabled=false")

    done = whole.framework(*disabled, "plugins", "list", "--start", "-o", "json")

    rows = {row["name"]: row["state"] for row in json.loads(done.stdout)}
    assert (rows["example"], rows["memory"]) == ("disabled", "active")


def test_uninstalled_it_is_gone(environment: Environment) -> None:
    environment.run(str(UV), "pip", "uninstall", "--quiet", "--python", environment.python, "plugin-example")
    try:
        rows = environment.listed("--start")
        assert rows["memory"]["state"] == "active"
        assert "not installed" in rows["example"]["reason"]
        assert rows["example"]["distribution"] == ""
        assert "example.thing" not in environment.framework("resources", "kinds").stdout
        assert "UnknownKindError" in environment.use()
        (environment.home / "framework.yaml").write_text("plugins: {memory: {}}\n")
        assert "example" not in environment.listed()
    finally:
        (environment.home / "framework.yaml").write_text(CONFIGURATION)
        wheel = next(environment.wheels.glob("plugin_example-*.whl"))
        environment.install("--no-deps", wheel)
    assert environment.listed("--start")["example"]["state"] == "active"
