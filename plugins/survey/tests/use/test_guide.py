"""Every command of the guide works as it is shown."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[4] / "docs" / "how-to" / "use-a-survey.md"
DIFFERENT = {"framework survey diff before.sqlite ~/Pictures"}
"""Commands that exit with 1, as the guide says."""


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command that is shown, with what it prints, which may be left out."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = one.partition("\n")
            yield command, printed


def matches(shown: str, printed: str) -> bool:
    """Return whether that was printed: `...` stands for anything, runs of blanks count as one."""
    parts = [re.escape(" ".join(one.split())) for one in shown.split("...")]
    return re.fullmatch(r"(?:.|\s)*?".join(parts), " ".join(printed.split())) is not None


@pytest.mark.skipif(not GUIDE.exists(), reason="the documentation is not here")
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("plugin_executors", "plugin_file")),
    reason="the command needs the plugins executors and file, which are not installed",
)
def test_the_commands_of_the_guide_work_in_their_order(tmp_path: Path) -> None:
    pictures = tmp_path / "Pictures"
    for name in ("one", "two", "2024/three"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_text("equal")
    (pictures / "diary.md").write_text("# Summer holiday\nAt the beach.\n")
    (tmp_path / "query").mkdir()
    (tmp_path / "framework.yaml").write_text("plugins: {survey: {}, executors: {}, file: {}}\n")
    (tmp_path / "framework").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from framework.cli import main; main()" "$@"\n'
    )
    (tmp_path / "framework").chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment.pop("XDG_STATE_HOME", None)
    shown = dict(sessions(GUIDE.read_text(encoding="utf-8")))
    commands = list(shown)
    assert len(commands) > 10
    outputs = {}
    for command in commands:
        if command in DIFFERENT:
            (pictures / "one").rename(pictures / "new name")
            subprocess.run(
                ["bash", "-c", commands[commands.index(command) - 1]], env=environment, cwd=tmp_path, check=True
            )
        done = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == (command in DIFFERENT), (command, done.stderr)
        outputs[command] = done.stdout
        assert not shown[command] or matches(shown[command], done.stdout + done.stderr), (
            command,
            done.stdout,
            done.stderr,
        )
    assert "one -> 'new name'" in outputs["framework survey diff before.sqlite ~/Pictures"]
    assert all("diary.md" in output for command, output in outputs.items() if " query h" in command)
