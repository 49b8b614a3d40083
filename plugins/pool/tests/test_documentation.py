"""What the documentation shows works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

GUIDE = "docs/how-to/give-entities-to-tasks.md"
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def blocks_of(page: str, language: str) -> list[str]:
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["plugins/pool/README.md", GUIDE])
def test_the_examples_run(page: str) -> None:
    blocks = blocks_of(page, "python")

    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": "example"})


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command that is shown, with what it prints."""
    for block in blocks_of(page, "console"):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, printed = one.partition("\n")
            yield line, printed


def test_the_commands_print_what_is_shown(framework: Run, tmp_path: Path) -> None:
    configuration = next(one for one in blocks_of(GUIDE, "yaml") if "resources:" in one)
    (workload,) = [one for one in blocks_of(GUIDE, "text") if "streams:" in one]
    (tmp_path / "workload.yaml").write_text(workload)
    pool = configuration.partition("pool:")[2]

    shown = list(commands(GUIDE))
    assert len(shown) >= 4
    for line, printed in shown:
        program, *arguments = shlex.split(line)
        assert program == "framework"
        done = framework(*arguments, pool=pool)
        assert done.returncode in (0, 3, 4), done.stderr
        if printed:
            assert done.stdout + done.stderr == printed, line
    assert "<svg" in (tmp_path / "waits.svg").read_text()
