"""`pool simulate` as people run it: a real process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]

COLUMNS = (
    "strategy", "tasks", "arrived", "unstarted", "refused", "mean", "median", "p95", "p99", "longest", "starvation",
    "late", "utilisation", "throughput",
)  # fmt: skip
POOL = "{resources: [{id: e1, type: executor}, {id: e2, type: executor}], patience: 50}"
STREAMS = """
streams:
  - {name: single, arrival: {poisson: 1.7}, requirements: executor, duration: {exponential: 1}}
  - {name: pair, arrival: {every: 20}, requirements: 2*executor, duration: {fixed: 1}}
"""

STRANGER = """
from framework import Plugin, PluginType, hookimpl, plugin


class Dearest:
    name = "dearest"

    def rank(self, resource_class):
        return -sum(resource_class.capabilities.values())


@plugin("stranger", "1", "Registers a strategy.", "Somebody", PluginType.PROCESSOR)
class StrangerPlugin(Plugin):
    @hookimpl
    def register_allocation_strategies(self):
        return [Dearest()]
"""


@pytest.fixture
def workload(tmp_path: Path) -> str:
    (tmp_path / "streams.yaml").write_text(STREAMS)
    return "streams.yaml"


def test_the_example_is_played_with_every_strategy(framework: Run) -> None:
    done = framework("pool", "simulate", "--tasks", "2000")

    assert done.returncode == 0, done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == [one.upper() for one in COLUMNS]
    names = ["all", "search", "code", "report", "review", "campaign"]
    played = [row[:2] for row in rows]
    for strategy in ("first_fit", "best_fit"):
        assert [[strategy, one] for one in names] == [one for one in played if one[0] == strategy]
    assert "2,000 tasks came to 20 places in " in done.stderr
    assert "99 of 100 tasks waited no longer than: " in done.stderr


def test_a_workload_of_a_file_is_played_with_the_configured_pool(framework: Run, workload: str) -> None:
    options = ["pool", "simulate", "--workload", workload, "--strategy", "best_fit", "--time", "2000", "-o", "json"]

    done = framework(*options, pool=POOL)
    assert done.returncode == 0, done.stderr
    total, single, pair = json.loads(done.stdout)
    assert tuple(total) == COLUMNS
    assert (total["strategy"], single["tasks"], pair["tasks"]) == ("best_fit", "single", "pair")
    assert pair["arrived"] == 99
    assert total["arrived"] == single["arrived"] + pair["arrived"]
    assert total["utilisation"] == pytest.approx((1.7 + 0.1) / 2, abs=0.05)

    patient = json.loads(framework(*options, "--patience", "0", pool=POOL).stdout)
    assert patient[2]["mean"] < 0.5 * pair["mean"], "the patience of the configuration is 50 s"
    late = json.loads(framework(*options, "--late", "0", pool=POOL).stdout)
    assert late[0]["late"] > total["late"]
    again = json.loads(framework(*options, "--seed", "2", pool=POOL).stdout)
    assert again != [total, single, pair]


@pytest.mark.parametrize("style", ["json", "ndjson", "yaml"])
def test_the_same_seed_gives_the_same_figures_in_every_format_and_process(framework: Run, style: str) -> None:
    def figures(hashes: str) -> object:
        done = framework(
            "pool", "simulate", "--tasks", "500", "--strategy", "first_fit", "-o", style, PYTHONHASHSEED=hashes
        )
        assert done.returncode == 0, done.stderr
        if style == "ndjson":
            return [json.loads(line) for line in done.stdout.splitlines()]
        return (json.loads if style == "json" else yaml.safe_load)(done.stdout)

    first = figures("1")
    assert first == figures("2")
    assert isinstance(first, list)
    assert len(first) == 6


def test_the_example_that_is_printed_is_the_one_that_is_played(framework: Run, tmp_path: Path) -> None:
    printed = framework("pool", "simulate", "--example")
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "own.yaml").write_text(printed.stdout)
    (tmp_path / "own.json").write_text(framework("pool", "simulate", "--example", "-o", "json").stdout)
    options = ["pool", "simulate", "--tasks", "300", "--strategy", "best_fit"]

    for file in ("own.yaml", "own.json"):
        assert framework(*options, "--workload", file).stdout == framework(*options).stdout


def test_what_a_stranger_registers_is_played_too(framework: Run, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "plugin_stranger.py").write_text(STRANGER)
    pool = "{}\n  stranger: {}\nplugin_folders: [own]"

    done = framework("pool", "simulate", "--tasks", "500", "--strategy", "dearest", "-o", "json", pool=pool)
    assert done.returncode == 0, done.stderr
    assert {row["strategy"] for row in json.loads(done.stdout)} == {"dearest"}


def test_an_impossible_stream_is_named_and_the_rest_goes_on(framework: Run, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        STREAMS + "  - {name: dream, arrival: {every: 1}, requirements: 'excutor:web_search=9', duration: 1}\n"
    )

    done = framework("pool", "simulate", "--workload", "w.yaml", "--time", "50", "-o", "json", pool=POOL)

    assert done.returncode == 0, done.stderr
    rows = {row["tasks"]: row for row in json.loads(done.stdout) if row["strategy"] == "best_fit"}
    assert (rows["dream"]["refused"], rows["dream"]["mean"]) == (49, None)
    assert rows["single"]["refused"] == 0
    assert "All tasks of the stream 'dream' are refused. The request cannot be met: 1 excutor" in done.stderr
    assert "did you mean 'executor'?" in done.stderr


def test_where_nothing_is_possible_it_ends_with_4(framework: Run, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("streams: [{arrival: {every: 1}, requirements: reviewer, duration: 1}]")

    done = framework("pool", "simulate", "--workload", "w.yaml", "--time", "5", pool=POOL)

    assert done.returncode == 4
    assert "'stream-1' are refused" in done.stderr


def test_the_picture_is_written_whole_and_overwrites_only_when_told_to(framework: Run, tmp_path: Path) -> None:
    options = ["pool", "simulate", "--tasks", "300", "--svg", "waits.svg"]

    done = framework(*options, "--strategy", "first_fit")
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "waits.svg").read_text()
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"

    refused = framework(*options)
    assert refused.returncode == 2
    assert "The picture 'waits.svg' is there already. Name another file, or use --force." in refused.stderr
    assert refused.stdout == "", "before anything is simulated"
    assert (tmp_path / "waits.svg").read_text() == first

    assert framework(*options, "--strategy", "best_fit", "--force").returncode == 0
    assert "best_fit" in (tmp_path / "waits.svg").read_text()
    assert set(os.listdir(tmp_path)) <= {"framework.yaml", "state", "waits.svg"}, "nothing half written is left"
    assert (tmp_path / "waits.svg").stat().st_mode & 0o777 == 0o666 & ~_mask()


def test_a_pipe_is_not_replaced_and_a_link_is_followed(framework: Run, tmp_path: Path) -> None:
    options = ["pool", "simulate", "--tasks", "300", "--strategy", "first_fit", "--force", "--svg"]
    os.mkfifo(tmp_path / "pipe.svg")
    (tmp_path / "link.svg").symlink_to("waits.svg")

    refused = framework(*options, "pipe.svg")
    assert refused.returncode == 2
    assert "The picture 'pipe.svg' is no ordinary file. Name one" in refused.stderr
    assert (tmp_path / "pipe.svg").is_fifo()

    assert framework(*options, "link.svg").returncode == 0
    assert (tmp_path / "link.svg").is_symlink()
    assert ElementTree.fromstring((tmp_path / "waits.svg").read_text()).tag == "{http://www.w3.org/2000/svg}svg"


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workload", "none.yaml"], "The workload 'none.yaml' cannot be read: No such file"),
        (["--workload", "streams.yaml"], "no resources, and neither has the configuration"),
        (["--strategy", "best_fitt"], "Did you mean 'best_fit'?"),
        (["--strategy", "\x1b[2J"], r"'\x1b[2J'"),
        (["--svg", "nowhere/waits.svg"], "There is no folder 'nowhere'"),
        (["--time", "1e9"], "tasks; 1,000,000 are allowed"),
        (["--time", "nan"], "nan is not a number"),
        (["--tasks", "1" + "0" * 30], "is not in the range"),
    ],
    ids=range(8),
)
def test_what_cannot_be_is_refused(framework: Run, workload: str, options: list[str], said: str) -> None:
    done = framework("pool", "simulate", *options)

    assert done.returncode == 2, done.stderr
    assert any(one in done.stderr for one in said.split("|"))
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr
