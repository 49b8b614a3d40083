"""Owners are killed at every moment; what they leave is given back, and nothing else is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system import faults
from tests.system.killing import kinds

ROOT = Path(__file__).parents[2]
PRIVATE = ("unshare", "--pid", "--fork", "--mount-proc", "--mount", "--kill-child")


def private(module: str, place: Path, *arguments: object, timeout: float = 60, groups: bool = False) -> dict[str, int]:
    """Run one of the programs beside this in namespaces of its own, and return what it counted."""
    if subprocess.run([*PRIVATE, "true"], capture_output=True, check=False).returncode or os.geteuid() != 0:
        pytest.skip("needs root, and namespaces of its own for processes and mounts")
    place.mkdir()
    command = [*PRIVATE, sys.executable, "-m", f"tests.system.killing.{module}", str(place), *map(str, arguments)]
    environment = os.environ | ({kinds.WITH_GROUPS: "1"} if groups else {})
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout, done.stderr)
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def each(fault: faults.Fault, *marks: pytest.MarkDecorator) -> list[object]:
    """Return the counts of a fault, the slow one marked so."""
    return [fault.normally, pytest.param(fault.slowly, marks=[pytest.mark.slow, pytest.mark.timeout(900), *marks])]


@pytest.mark.parametrize("kills", each(faults.RANDOM_KILLS, pytest.mark.alone))
def test_random_kills_leave_nothing(tmp_path: Path, kills: int) -> None:
    counts = private(
        "randomly", tmp_path / "root", kills, kills, timeout=800, groups=kills == faults.RANDOM_KILLS.slowly
    )
    assert counts["kills"] == kills
    assert counts["reclaimed"] > kills / 10  # on a loaded machine many die before they hold anything
    assert counts["quarantined"] == 0
    rare = ("during recovery", "replaced") if kills == faults.RANDOM_KILLS.slowly else ()
    assert min(counts[mode] for mode in ("owner only", "whole group", *rare)) > 0


@pytest.mark.parametrize("kills", each(faults.STEPS_OF_OWNER, pytest.mark.alone))
def test_a_kill_at_any_step_of_an_owner_leaves_nothing(tmp_path: Path, kills: int) -> None:
    every = 1 if kills == faults.STEPS_OF_OWNER.slowly else 3
    counts = private("steps", tmp_path / "root", "acquire", every, timeout=300, groups=every == 1)
    assert counts["kills"] >= kills


@pytest.mark.parametrize("kills", each(faults.STEPS_OF_RECLAIM, pytest.mark.alone))
def test_a_kill_at_any_step_of_who_gives_back_leaves_nothing(tmp_path: Path, kills: int) -> None:
    every = 1 if kills == faults.STEPS_OF_RECLAIM.slowly else 10
    counts = private("steps", tmp_path / "root", "reclaim", every, timeout=300, groups=every == 1)
    assert counts["kills"] >= kills


@pytest.mark.parametrize("times", each(faults.REUSED_NUMBERS))
def test_a_number_that_is_used_again_kills_nobody(tmp_path: Path, times: int) -> None:
    counts = private("numbers", tmp_path / "root", times, timeout=800)
    assert counts == {"owners": times, "children": times, "wrong": 0}


def test_the_page_is_the_table() -> None:
    with open(faults.PAGE, encoding="utf-8") as file:
        assert file.read() == faults.page()


@pytest.mark.parametrize(
    "fault", [*faults.FAULTS, *faults.WORK_FAULTS], ids=lambda fault: fault.test.rpartition("::")[2]
)
def test_every_fault_has_its_test(fault: faults.Fault) -> None:
    file, _, name = fault.test.partition("::")
    tests = (Path(__file__).parent / file).resolve()
    if not tests.parent.exists():
        pytest.skip(f"the plugin of {tests.parent} is not in this tree")
    text = tests.read_text()
    assert f"def {name}(" in text or f"\n{name} = " in text
