"""`framework metrics show` and `watch`, as programs of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.testing import MemoryGroup
from plugin_system.command import _spelled

MIB = 1 << 20
PROGRAM = "from framework.cli import main; main()"


def run(tmp_path: Path, *arguments: str, group: str = "", code: int = 0, config: str = "plugins: {system: {}}") -> str:
    """Run the command, in a control group if one is given, and return what it prints."""
    file = tmp_path / "framework.yaml"
    file.write_text(config)
    command = [sys.executable, "-c", PROGRAM, "--config", str(file), "metrics", *arguments]
    if group:
        command = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', group, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def values(text: str) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in json.loads(text)["metrics"]}


@pytest.fixture
def group() -> Iterator[str]:
    """A version 1 group of 256 MiB below our own, as a container has one."""
    with MemoryGroup(256 * MIB) as made:
        yield made.path


def test_in_a_container_of_256_mib_it_shows_the_true_limit(tmp_path: Path, group: str) -> None:
    found = values(run(tmp_path, "show", "-o", "json", group=group))
    assert found["memory_total_mb"] == 256
    assert found["system_memory_limit_bytes"] == 256 * MIB
    assert 0 < found["system_memory_used_bytes"] < 256 * MIB
    assert found["system_memory_percent"] == pytest.approx(100 * found["system_memory_used_bytes"] / (256 * MIB))
    assert found["process_memory_percent"] == pytest.approx(100 * found["process_rss_bytes"] / (256 * MIB))
    assert found["host_memory_total_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_table_names_values_and_units(tmp_path: Path) -> None:
    lines = [line.split() for line in run(tmp_path, "show", "system_memory_*", "runtime_threads").splitlines()]
    assert lines[0] == ["METRIC", "VALUE", "UNIT"]
    assert [line[0] for line in lines[1:]] == [
        "system_memory_percent", "system_memory_limit_bytes", "system_memory_used_bytes",
        "system_memory_available_bytes", "runtime_threads",
    ]  # fmt: skip
    assert {line[0]: line[2] for line in lines}["system_memory_limit_bytes"] == "bytes"


def test_alerts_are_listed(tmp_path: Path) -> None:
    config = "plugins: {system: {alerts: {full: {metric: memory_total_mb, above: 1, message: enough}}}}"
    (row,) = json.loads(run(tmp_path, "show", "-o", "json", config=config))["alerts"]
    assert (row["alert"], row["state"], row["threshold"], row["message"]) == ("full", "raised", 1, "enough")
    assert "full   raised  memory_total_mb" in run(tmp_path, "show", config=config)


def test_a_name_that_nobody_measures_is_refused(tmp_path: Path) -> None:
    told = run(tmp_path, "show", "system_memory_precent", code=2)
    assert "No metric is called 'system_memory_precent'" in told
    assert "'system_memory_percent'" in told


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "soon"])
def test_an_interval_that_is_none_is_refused(tmp_path: Path, interval: str) -> None:
    assert "Invalid value for '--interval'" in run(tmp_path, "watch", "--interval", interval, code=2)


def test_watching_without_a_terminal_prints_a_line_for_each_metric_and_look(tmp_path: Path) -> None:
    lines = run(tmp_path, "watch", "--count", "3", "--interval", "0.05", "cpu_usage", "load_avg_1m").splitlines()
    assert [line.split()[1] for line in lines] == ["cpu_usage", "load_avg_1m"] * 3
    assert [line.split()[3] for line in lines] == ["%", "tasks"] * 3


@pytest.mark.parametrize("style", ["json", "ndjson", "yaml"])
def test_each_format_can_be_read_again(tmp_path: Path, style: str) -> None:
    text = run(tmp_path, "watch", "--count", "2", "--interval", "0.05", "-o", style, "cpu_*")
    looks: list[Any]
    if style == "ndjson":
        looks = [{"metrics": [json.loads(line)]} for line in text.splitlines()]
    elif style == "yaml":
        looks = list(yaml.safe_load_all(text))
    else:
        decoder, looks = json.JSONDecoder(), []
        while text.strip():
            found, end = decoder.raw_decode(text.lstrip())
            looks.append(found)
            text = text.lstrip()[end:]
    assert [[row["metric"] for row in look["metrics"]] for look in looks] == [["cpu_usage"], ["cpu_usage"]]
    assert all(0 <= row["value"] <= 100 for look in looks for row in look["metrics"])


@pytest.mark.parametrize(("value", "text"), [(float("inf"), "inf"), (float("nan"), "nan"), (2.0, "2"), (0.25, "0.25")])
def test_whatever_a_plugin_measures_can_be_shown(value: float, text: str) -> None:
    assert _spelled(value) == text
