import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from framework import MetricsManager, PluginMonitor, get_logger
from framework.telemetry import HistogramSummary

pytestmark = pytest.mark.anyio
SQUARE = (("shape", "square"),)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def exported() -> Iterator[tuple[MetricsManager, InMemoryMetricReader]]:
    """A manager that exports through a real SDK into memory."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    yield MetricsManager(provider.get_meter("test")), reader
    provider.shutdown()


def points(reader: InMemoryMetricReader) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
    """Return the exported data points by name and labels."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    metrics = [one for resource in data.resource_metrics for scope in resource.scope_metrics for one in scope.metrics]
    return {
        one.name: {tuple(sorted((point.attributes or {}).items())): point for point in one.data.data_points}
        for one in metrics
    }


def test_counters_add_up_by_labels() -> None:
    metrics = MetricsManager()
    metrics.counter("sides", 4, shape="square")
    metrics.counter("sides", 4, shape="square")
    metrics.counter("sides")
    assert metrics.counters() == {"sides": {SQUARE: 8, (): 1}}


def test_labels_are_the_same_in_any_order() -> None:
    metrics = MetricsManager()
    metrics.counter("sides", a="1", b="2")
    metrics.counter("sides", b="2", a="1")
    assert metrics.counters() == {"sides": {(("a", "1"), ("b", "2")): 2}}


def test_a_counter_never_falls() -> None:
    metrics = MetricsManager()
    metrics.counter("sides", 0)
    with pytest.raises(ValueError, match="counter 'sides' got -1; a counter only rises"):
        metrics.counter("sides", -1)
    assert metrics.counters() == {"sides": {(): 0}}


def test_histograms_keep_count_total_and_extremes() -> None:
    metrics = MetricsManager()
    for value in (3, 1, 2):
        metrics.histogram("size", value, shape="square")
    assert metrics.histograms() == {"size": {SQUARE: HistogramSummary(3, 6, 1, 3)}}


def test_a_series_that_was_bound_is_the_one_of_its_name() -> None:
    metrics = MetricsManager()
    bound = metrics.counter("sides", 0, shape="square")
    bound.add()
    bound.add(3)
    metrics.counter("sides", shape="square")
    assert metrics.values("sides") == {SQUARE: 5}
    assert bound.value == 5


def test_a_gauge_is_what_was_set_last() -> None:
    metrics = MetricsManager()
    assert metrics.gauge("depth").value is None
    assert metrics.gauges() == {"depth": {}}
    metrics.gauge("depth", -2.5)
    metrics.gauge("depth", 7, queue="a")
    metrics.gauge("depth", -1)
    assert metrics.gauges() == {"depth": {(): -1, (("queue", "a"),): 7}}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused_by_name(wrong: float) -> None:
    metrics = MetricsManager()
    with pytest.raises(ValueError, match=r"gauge 'depth' got \S+; allowed are finite numbers"):
        metrics.gauge("depth", wrong)
    with pytest.raises(ValueError, match=r"histogram 'took' got \S+; allowed are finite numbers"):
        metrics.histogram("took", wrong)
    assert metrics.histograms() == {"took": {}}


def test_one_name_is_one_sort_of_metric() -> None:
    metrics = MetricsManager()
    metrics.counter("sides")
    with pytest.raises(ValueError, match="'sides' is a counter already"):
        metrics.gauge("sides", 1)
    with pytest.raises(ValueError, match="'sides' is a counter already"):
        metrics.histogram("sides", 1)


def test_series_beyond_the_cap_share_one_which_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = MetricsManager()
    metrics.max_series = 3
    with caplog.at_level(logging.WARNING, "framework"):
        for user in range(50):
            metrics.counter("logins", 2, user=str(user))
        metrics.counter("logins", user="0")
    cells = metrics.values("logins")
    assert len(cells) == 4
    assert cells[("user", "0"),] == 3
    assert cells[("otel.metric.overflow", "true"),] == 94
    assert [str(record.msg) for record in caplog.records] == ["metric_overflowed metric=logins series=3"]


def test_a_child_that_is_forked_while_threads_count_can_count() -> None:
    code = (
        "import os, threading\nfrom framework import MetricsManager\n"
        "metrics, over = MetricsManager.get_instance(), threading.Event()\n"
        "def count():\n    series = metrics.counter('n', 0)\n    while not over.is_set():\n        series.add()\n"
        "threads = [threading.Thread(target=count) for _ in range(4)]\n"
        "for one in threads: one.start()\n"
        "codes = []\n"
        "for _ in range(100):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        metrics.counter('n')\n        os._exit(7)\n"
        "    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "over.set()\n"
        "print(set(codes))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "{7}\n"


def test_what_is_returned_is_a_copy() -> None:
    metrics = MetricsManager()
    metrics.counter("sides")
    metrics.counters()["sides"].clear()
    assert metrics.counters() == {"sides": {(): 1}}


def test_sixteen_threads_lose_no_count() -> None:
    metrics = MetricsManager()

    def count(number: int) -> None:
        for _ in range(500):
            metrics.counter("sides", shape="square")
            metrics.histogram("size", number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(count, range(16)))
    assert metrics.counters()["sides"] == {SQUARE: 8000}
    assert metrics.histograms()["size"][()] == HistogramSummary(8000, 500 * 120, 0, 15)


def test_sixteen_threads_get_the_same_manager() -> None:
    made: list[MetricsManager] = []
    meeting = Barrier(2)

    class Manager(MetricsManager):
        _instance = None  # not the one that another test may have made

        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            with contextlib.suppress(BrokenBarrierError):
                meeting.wait(0.1)  # two that are made at once would meet here

    start = Barrier(16)

    def get(_: int) -> MetricsManager:
        start.wait(10)
        return Manager.get_instance()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(get, range(16))) == set(made)
    assert len(made) == 1
    assert MetricsManager.get_instance() is MetricsManager.get_instance()


def test_counters_reach_opentelemetry(exported: tuple[MetricsManager, InMemoryMetricReader]) -> None:
    metrics, reader = exported
    metrics.counter("sides", 4, shape="square")
    metrics.counter("sides", 3, shape="triangle")
    assert {labels: point.value for labels, point in points(reader)["sides"].items()} == {
        SQUARE: 4,
        (("shape", "triangle"),): 3,
    }
    metrics.counter("sides", 1, shape="square")
    assert points(reader)["sides"][SQUARE].value == 5


def test_gauges_that_were_set_reach_opentelemetry(exported: tuple[MetricsManager, InMemoryMetricReader]) -> None:
    metrics, reader = exported
    metrics.gauge("depth", 4.5, queue="a")
    assert points(reader)["depth"][("queue", "a"),].value == 4.5


def test_histograms_reach_opentelemetry(exported: tuple[MetricsManager, InMemoryMetricReader]) -> None:
    metrics, reader = exported
    for value in (1.0, 2.5):
        metrics.histogram("size", value, shape="square")
    point = points(reader)["size"][SQUARE]
    assert (point.count, point.sum, point.min, point.max) == (2, 3.5, 1.0, 2.5)


def test_gauges_are_read_when_exported_until_forgotten(exported: tuple[MetricsManager, InMemoryMetricReader]) -> None:
    metrics, reader = exported
    level = [1.0]

    def read() -> dict[tuple[tuple[str, str], ...], float]:
        return {SQUARE: level[0]}

    def other() -> dict[tuple[tuple[str, str], ...], float]:
        return {SQUARE: 10, (): 7}

    metrics.observe("level", read, unit="By")
    assert points(reader)["level"][SQUARE].value == 1
    level[0] = 2
    assert points(reader)["level"][SQUARE].value == 2
    metrics.observe("level", other)
    assert {labels: point.value for labels, point in points(reader)["level"].items()} == {SQUARE: 12, (): 7}
    metrics.forget("level", other)
    metrics.forget("never observed", other)
    assert points(reader)["level"][SQUARE].value == 2
    metrics.forget("level", read)
    assert points(reader).get("level", {}) == {}


def test_a_gauge_may_read_the_manager_itself(exported: tuple[MetricsManager, InMemoryMetricReader]) -> None:
    metrics, reader = exported
    metrics.counter("sides")
    metrics.observe("counters", lambda: {(): float(len(metrics.counters()))})

    assert points(reader)["counters"][()].value == 1


async def test_operations_of_plugins_are_counted_and_timed_whether_they_succeed_or_not() -> None:
    metrics = MetricsManager()
    monitor = PluginMonitor(metrics)
    await monitor.record_operation("start", "memory", duration=0.5)
    await monitor.record_operation("start", "memory", success=False, duration=2.0, phase="load")
    good = (("operation", "start"), ("plugin", "memory"), ("success", "true"))
    bad = (("operation", "start"), ("phase", "load"), ("plugin", "memory"), ("success", "false"))
    assert metrics.counters() == {"plugin_operations": {good: 1, bad: 1}}
    assert metrics.histograms() == {
        "plugin_duration": {good: HistogramSummary(1, 0.5, 0.5, 0.5), bad: HistogramSummary(1, 2.0, 2.0, 2.0)}
    }


def test_a_monitor_without_a_manager_uses_that_of_the_process() -> None:
    assert PluginMonitor()._metrics is MetricsManager.get_instance()


def test_events_reach_the_standard_logger_with_their_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "framework"):
        get_logger().info("lease_opened", kind="file.temp", size=3)
        get_logger().debug("lease_closed")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("framework", logging.INFO)
    assert isinstance(record.msg, dict)
    assert record.msg == {"event": "lease_opened", "kind": "file.temp", "size": 3, "level": "info"}


def run(code: str) -> subprocess.CompletedProcess[str]:
    code = f"from framework.telemetry import configure_logging, get_logger; log = get_logger()\n{code}"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_nothing_is_printed_on_standard_output_by_default() -> None:
    done = run("log.info('lease_opened'); log.warning('lease_lost', name='one'); log.error('disk_failed')")
    assert done.stdout == ""
    assert "lease_opened" not in done.stderr


def test_json_logging_prints_one_object_a_line_to_standard_error() -> None:
    done = run(
        "import logging; logging.basicConfig(); configure_logging('info', 'json'); configure_logging('info', 'json')\n"
        "log.debug('hidden'); log.info('lease_opened', name='one\\ntwo', size=3); log.error('disk_failed')\n"
        "logging.getLogger('framework.other').warning('plain %s', 'text')"
    )
    assert done.stdout == ""
    events = [json.loads(line) for line in done.stderr.splitlines()]
    stamps = [event.pop("timestamp") for event in events]
    assert events == [
        {"event": "lease_opened", "name": "one\ntwo", "size": 3, "level": "info"},
        {"event": "disk_failed", "level": "error"},
        {"event": "plain text", "level": "warning"},
    ]
    assert all(stamp.endswith("Z") for stamp in stamps)


def test_console_logging_prints_readable_lines_without_colours() -> None:
    done = run("configure_logging('warning'); log.info('hidden'); log.warning('lease_lost', name='one')")
    (line,) = done.stderr.splitlines()
    assert "lease_lost" in line
    assert "name=one" in line
    assert "\x1b" not in line
