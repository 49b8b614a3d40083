"""The README's own application and plugin run as they are printed."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from framework.discovery import discover

README = os.path.join(os.path.dirname(__file__), "..", "..", "README.md")
PROGRAM = os.path.join(os.path.dirname(sys.executable), "framework")


def _blocks() -> dict[str, str]:
    """Return the Python blocks by the file name in their first comment."""
    with open(README, encoding="utf-8") as file:
        blocks = re.findall(r"```python\n# (\S+?\.py)(.*?)```", file.read(), re.DOTALL)
    return {name: f"# {name}{body}" for name, body in blocks}


def _run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_application_runs_as_printed(tmp_path: Path) -> None:
    missing = {"memory", "file", "process"} - discover().manifests.keys()
    if missing:
        pytest.skip(f"needs the plugins {', '.join(sorted(missing))}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/dev/shm/framework.picture")  # left by a run of this test that was killed
    (tmp_path / "application.py").write_text(_blocks()["application.py"])

    done = _run(sys.executable, "application.py", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert "('memory.shared', 'application.py[" in done.stdout
    assert "has 4096 bytes reserved" in done.stdout
    assert "hello" in done.stdout
    assert not os.path.exists(re.findall(r"^(/\S+) has 4096", done.stdout, re.MULTILINE)[0])


def test_the_plugin_runs_as_printed(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "plugin_greeting.py").write_text(_blocks()["plugins/plugin_greeting.py"])
    (tmp_path / "framework.yaml").write_text("plugin_folders: [plugins]\nplugins: {greeting: {}}\n")

    listed = _run(PROGRAM, "plugins", "list", "--start", folder=tmp_path)
    kinds = _run(PROGRAM, "resources", "kinds", folder=tmp_path)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert re.search(r"^greeting +1\.0 +provider +active", listed.stdout, re.MULTILINE)
    assert re.search(r"^greeting\.word +greeting +\[name\] \[language\] +A word", kinds.stdout, re.MULTILINE)


def test_the_application_and_the_plugin_stay_short() -> None:
    blocks = _blocks()

    assert _statements(blocks["application.py"]) <= 20
    assert _statements(blocks["plugins/plugin_greeting.py"]) <= 15


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)]+)\)", Path(README).read_text(encoding="utf-8")))
def test_every_link_leads_somewhere(target: str) -> None:
    assert os.path.exists(os.path.join(os.path.dirname(README), target))


def _statements(block: str) -> int:
    """Count the lines that are neither blank nor a comment."""
    return sum(1 for line in block.splitlines() if line.strip() and not line.strip().startswith("#"))
