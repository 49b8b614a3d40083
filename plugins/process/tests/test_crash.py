"""What is left of children whose owner is killed: nothing that its journal does not lead to."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin_process.hierarchies import places

NURSERY = os.path.join(os.path.dirname(__file__), "nursery.py")
APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
OBEDIENT = {"command": "sleep", "args": ["1000"]}
LIMITED = {**OBEDIENT, "max_memory": 64 << 20, "pids": 20}
FORKING = {"command": "setsid sleep 1000 & exec sleep 1000", "shell": True, "pids": 20}

apart = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a pid namespace and control groups of its own")


def nursery(home: Path, stride: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Kill owners at every so many-th step, in a pid namespace and in control groups of their own."""
    group = f"nursery-{os.urandom(8).hex()}"
    try:
        done = subprocess.run(
            [*APART, sys.executable, NURSERY, str(stride), group, json.dumps(parameters)],
            env={**os.environ, "XDG_STATE_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for place in set(places(["memory", "cpu", "pids", ""]).values()):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(os.path.join(place.parent, group))
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@apart
@pytest.mark.parametrize(("parameters", "stride"), [(OBEDIENT, 67), (LIMITED, 131)], ids=["plain", "limited"])
def test_an_owner_killed_at_any_step_leaves_only_what_its_journal_leads_to(
    tmp_path: Path, parameters: dict[str, Any], stride: int
) -> None:
    report = nursery(tmp_path, stride, parameters)

    assert report["lost"] == []
    assert report["code"] == 0
    assert report["killed"] > 5
    assert report["undone"] > 0


@apart
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("parameters", [OBEDIENT, LIMITED, FORKING], ids=["plain", "limited", "forking"])
def test_an_owner_killed_at_each_step_leaves_only_what_its_journal_leads_to(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    report = nursery(tmp_path, 1, parameters)

    assert report["lost"] == []
    assert report["code"] == 0
    assert report["killed"] > 200
