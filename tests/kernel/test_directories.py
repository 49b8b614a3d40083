"""State and caches live in private directories of the user, and nowhere else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import directories
from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError

KINDS = [("XDG_STATE_HOME", directories.state_directory), ("XDG_CACHE_HOME", directories.cache_directory)]


@pytest.mark.parametrize(("variable", "ask"), KINDS)
def test_a_directory_is_made_private_on_first_use_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, ask: Callable[[str], str]
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "deep" / "home"))
    path = ask("survey")
    assert path == str(tmp_path / "deep" / "home" / "framework" / "survey")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    (Path(path) / "kept").write_text("x")
    os.chmod(path, 0o755)
    assert ask("survey") == path
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert (Path(path) / "kept").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "../x", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(InvalidRequestError, match="one name without"):
        directories.state_directory(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("variable", "ask"), KINDS)
def test_a_directory_that_cannot_be_made_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, ask: Callable[[str], str]
) -> None:
    (tmp_path / "framework").write_text("a file")
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(
        ResourceUnavailableError, match=r"cannot be made: Not a directory.*Set XDG_STATE_HOME"
    ) as caught:
        ask("survey")
    assert caught.value.resource == str(tmp_path / "framework" / "survey")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_relative_home_in_the_environment_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    path = directories.state_directory("survey")
    assert os.path.isabs(path)
    assert not (tmp_path / "here").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="being a user without an account needs root")
def test_without_any_home_nothing_is_made_where_the_program_was_started(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "import platformdirs\n"
        "from framework import directories\n"
        "platformdirs.user_state_dir()  # import everything while it can be read\n"
        "os.setgid(54321); os.setuid(54321)\n"
        "try: directories.state_directory('survey')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(os.listdir())\n"
    )
    tmp_path.chmod(0o777)
    environment = {key: value for key, value in os.environ.items() if key != "HOME" and not key.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "ResourceUnavailableError" in done.stdout
    assert "absolute paths" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory to somebody else needs root")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = directories.state_directory("survey")
    os.chown(path, 65534, 65534)
    with pytest.raises(PolicyError, match="belongs to user 65534, not to user 0"):
        directories.state_directory("survey")
