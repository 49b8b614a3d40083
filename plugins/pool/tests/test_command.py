"""The commands that look at a pool, as people run them: a real process, with a pool that a file describes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]

POOL = """
    resources:
      - {id: executor-1, type: executor, capabilities: {web_search: 8, file_ops: 3}, labels: {zone: a}}
      - {id: executor-2, type: executor, capabilities: {web_search: 4}, capacity: 2}
      - {id: reviewer-1, type: reviewer}
"""


@pytest.mark.parametrize("words", [["why"], ["pool", "explain"]], ids=" ".join)
def test_what_the_pool_has_is_fine(framework: Run, words: list[str]) -> None:
    done = framework(*words, "executor:web_search=5", "executor", pool=POOL)

    assert done.returncode == 0, done.stderr
    assert "can have everything now" in done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == ["2", "1", "1", "1", "2", "2", "2"]


def test_what_it_has_not_is_explained(framework: Run) -> None:
    done = framework("why", "2*executor:web_search=5,file_ops", "-o", "json", pool=POOL)

    assert done.returncode == 4, done.stderr
    found = json.loads(done.stdout)
    assert found["tier"] == "impossible"
    assert (found["needed"], found["found"]) == (2, 1)
    assert found["change"] == "adding 1 executor (file_ops >= 1, web_search >= 5)"


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ("x*executor", "Write it as executor, 2*executor"),
        ("executor:web_search=11", "1 to 10"),
        ("exe\x1bcutor", r"'exe\x1bcutor'"),
    ],
)
def test_a_need_that_cannot_be_read_is_refused(framework: Run, need: str, said: str) -> None:
    done = framework("pool", "check", need, pool=POOL)

    assert done.returncode == 2
    assert said in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1000


def test_check_names_the_entities_or_what_is_missing(framework: Run) -> None:
    done = framework("pool", "check", "executor:web_search=5", "reviewer", "-o", "json", pool=POOL)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "satisfied": True,
        "tier": "free",
        "missing": [],
        "available": ["executor-1", "reviewer-1"],
    }

    done = framework("pool", "check", "2*reviewer", pool=POOL)
    assert done.returncode == 4
    assert dict(line.split(maxsplit=1) for line in done.stdout.splitlines())["missing"] == "1 reviewer"
    assert "missing 1 reviewer; the pool does not have it" in done.stderr


def test_status_counts_entities(framework: Run) -> None:
    done = framework("pool", "status", "-o", "yaml", pool=POOL)

    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    assert (found["total_resources"], found["available"], found["error"], found["waiting"]) == (3, 3, 0, 0)


def test_list_shows_each_entity(framework: Run) -> None:
    done = framework("pool", "list", pool=POOL)

    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["ID", "TYPE", "STATUS", "CAPABILITIES", "LABELS", "CAPACITY", "TASKS"],
        ["executor-1", "executor", "available", "file_ops=3,", "web_search=8", "zone=a", "1", "-"],
        ["executor-2", "executor", "available", "web_search=4", "-", "2", "-"],
        ["reviewer-1", "reviewer", "available", "-", "-", "1", "-"],
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--type", "reviewer"], ["reviewer-1"]),
        (["--capability", "web_search", "--capability", "file_ops=2"], ["executor-1"]),
        (["--capability", "web_search=4", "--type", "executor"], ["executor-1", "executor-2"]),
    ],
)
def test_list_can_be_narrowed(framework: Run, options: list[str], names: list[str]) -> None:
    done = framework("pool", "list", *options, "-o", "ndjson", pool=POOL)

    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == names


def test_a_list_of_nothing_says_so_and_what_was_perhaps_meant(framework: Run) -> None:
    done = framework("pool", "list", "--type", "reviever", "--capability", "web_serch", pool=POOL)

    assert done.returncode == 0
    assert "None of 3 entities" in done.stderr
    assert "Did you mean 'reviewer'?" in done.stderr
    assert "Did you mean 'web_search'?" in done.stderr
    assert "The pool has no entities." in framework("pool", "list").stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--status", "gone"], "'gone'"), (["--capability", "web_search=much"], "1 to 10")],
)
def test_a_filter_that_cannot_be_is_refused(framework: Run, options: list[str], said: str) -> None:
    done = framework("pool", "list", *options, pool=POOL)

    assert done.returncode == 2
    assert said in done.stderr
