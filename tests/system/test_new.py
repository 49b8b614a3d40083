"""`framework plugins new`: what it makes is right at once, and what it refuses it leaves alone."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LONGEST = "a234567890_1234567890_23"

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]


def checked(folder: Path, *arguments: str, **environ: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def lay_out(package: Path, site: Path) -> None:
    """Lay a package out as an installer does."""
    with open(package / "pyproject.toml", "rb") as file:
        project: dict[str, Any] = tomllib.load(file)["project"]
    (name,) = os.listdir(package / "src")
    shutil.copytree(package / "src" / name, site / name)
    info = site / f"{name}-{project['version']}.dist-info"
    info.mkdir()
    headers = {"Metadata-Version": "2.4", "Name": project["name"], "Version": project["version"]}
    headers |= {"Summary": project["description"], "Author": project["authors"][0]["name"]}
    (info / "METADATA").write_text("".join(f"{key}: {value}\n" for key, value in headers.items()), encoding="utf-8")
    points = project["entry-points"]["framework.plugins"]
    lines = "".join(f"{key} = {value}\n" for key, value in points.items())
    (info / "entry_points.txt").write_text(f"[framework.plugins]\n{lines}")


def test_a_new_package_is_found_and_passes_its_own_tests_at_once(program: Program, home: Path, site: Path) -> None:
    made = program("plugins", "new", "example", "--author", 'Ann "{{ 7 * 7 }}" Ö', "-o", "json")
    assert (made.returncode, home.joinpath("plugin-example").is_dir()) == (0, True), made.stderr
    lay_out(home / "plugin-example", site)

    listed = program("plugins", "show", "example")

    assert "example.thing" in listed.stdout
    assert 'Ann "{{ 7 * 7 }}" Ö' in listed.stdout
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    checked(home / "plugin-example", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", PYTHONPATH=path)


@pytest.mark.parametrize(
    ("name", "kind"), [("example", "example.thing"), (LONGEST, f"{'b' * 29}.{'c' * 30}"), ("x", "x.y.z_1")]
)
def test_a_new_package_is_clean_code(program: Program, home: Path, name: str, kind: str) -> None:
    made = program("plugins", "new", name, "--kind", kind, "--directory", "deep/down")
    assert made.returncode == 0, made.stderr
    package = home / "deep" / "down"
    settings = os.path.join(ROOT, "pyproject.toml")
    places = [os.path.join(ROOT, "core", "src"), str(package / "src")]
    ruff = ["--no-cache", "--config", settings, "--config", f"src = {places!r}", "."]

    checked(package, "ruff", "check", *ruff)
    checked(package, "ruff", "format", "--check", *ruff)
    if name == "example":
        cache = os.path.join(ROOT, ".mypy_cache")
        mypy = ["--config-file", settings, "--cache-dir", cache, "src", "tests"]
        checked(package, "mypy", *mypy, MYPYPATH=os.pathsep.join(places))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["class"], "a word of the Python language"),
        (["match"], "a word of the Python language"),
        (["Example"], "small letters"),
        (["my-plugin"], "small letters"),
        (["../escape"], "small letters"),
        (["a/b"], "small letters"),
        (["1st"], "small letters"),
        (["_x"], "small letters"),
        (["x__y"], "small letters"),
        ([""], "small letters"),
        (["é"], "small letters"),
        ([f"{LONGEST}4"], "1 to 24"),
        (["taken"], "a plugin of that name is installed"),
        (["damaged"], "a plugin of that name is installed"),
        (["good", "--kind", "nodot"], "family.thing"),
        (["good", "--kind", "a.b/c"], "family.thing"),
        (["good", "--kind", f"a.{'b' * 60}"], "at most 60"),
        (["good", "--kind", "taken.kind"], "plugin 'taken' provides it"),
        (["good", "--author", "a\nb"], "printable"),
        (["good", "--author", " "], "printable"),
        (["good", "--directory", "full"], "exists already"),
        (["good", "--directory", "dangling"], "exists already"),
        (["good", "--directory", "."], "exists already"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    program: Program, home: Path, site: Path, install: Callable[..., Path], arguments: list[str], says: str
) -> None:
    install(site, "taken", extra='[provides]\nkinds = ["taken.kind"]')
    install(site, "damaged", manifest="schema = ")
    (home / "full").mkdir()
    (home / "full" / "file").write_text("mine")
    (home / "dangling").symlink_to("nowhere")

    done = program("plugins", "new", *arguments)

    assert done.returncode == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert sorted(set(os.listdir(home)) - {".cache"}) == ["dangling", "full"]
    assert (home / "full" / "file").read_text() == "mine"


def test_without_copier_the_extra_is_named(program: Program, home: Path, site: Path) -> None:
    (site / "copier.py").write_text("raise ImportError('it is not here')\n")

    done = program("plugins", "new", "example")

    assert done.returncode == 1
    assert "framework-core[authoring]" in done.stderr
    assert set(os.listdir(home)) <= {".cache"}


def test_a_folder_that_cannot_be_made_is_named(program: Program, home: Path) -> None:
    (home / "file").write_text("")

    done = program("plugins", "new", "example", "--directory", "file/below")

    assert done.returncode == 1
    assert f"{home}/file/below cannot be made" in done.stderr
    assert "Traceback" not in done.stderr
