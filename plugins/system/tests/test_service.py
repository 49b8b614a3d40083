from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pydantic
import pytest

import plugin_system
from framework import Framework, MetricsManager
from framework.errors import InvalidRequestError
from plugin_system.custom import AlertsCollector, CustomCollector
from plugin_system.defaults import Defaults
from plugin_system.service import MOST_ALERTS, Metrics
from plugin_system.settings import SystemSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def service() -> Metrics:
    return Metrics(MetricsManager())


def test_the_seed_of_this_api(service: Metrics) -> None:
    """As agent-platform-improvements.md has it, in its own language."""
    service.gauge("task_duration", 45.2)
    service.counter("deployments_total", 1)
    service.histogram("response_time", 0.125)
    cpu_usage, memory_usage = service.system_cpu(), service.system_memory()
    assert 0 <= cpu_usage <= 100
    assert memory_usage > 0
    service.alert("high_cpu", {"level": "warning", "message": f"CPU usage is high: {cpu_usage}%"})
    (row,) = service.alerts()
    assert (row["alert"], row["state"], row["level"]) == ("high_cpu", "raised", "warning")
    assert CustomCollector(service).collect().items() >= {
        ("task_duration", 45.2),
        ("deployments_total", 1),
        ("response_time_count", 1),
        ("response_time_sum", 0.125),
    }


def test_labels_are_part_of_the_name(service: Metrics) -> None:
    bound = service.counter("requests", 0, route="/", method="GET")
    bound.add(2)
    service.counter("requests", method="GET", route="/")
    assert CustomCollector(service).collect()["requests{method=GET,route=/}"] == 3


def test_a_child_that_is_forked_while_a_collector_is_busy_measures_itself() -> None:
    code = (
        "import os\nfrom plugin_system import metrics\n"
        "metrics.system.collect()\n"
        "with metrics._lock, metrics.system._lock:\n"  # as another thread may hold them
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        metrics.alert('x', {'level': 'info'})\n"
        "        os._exit(7 if metrics.system.collect()['system_collect_seconds'] == 0 else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "7\n"


@pytest.mark.parametrize("sort", ["counter", "gauge", "histogram"])
@pytest.mark.parametrize("name", ["", "1st", "with space", "x" * 256, "a\n"])
def test_names_that_cannot_be_are_refused(service: Metrics, sort: str, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="allowed are up to 255 letters"):
        getattr(service, sort)(name, 1)


def test_a_name_of_the_plugins_own_is_refused(service: Metrics) -> None:
    with pytest.raises(InvalidRequestError, match="'system_memory_percent', which the plugin system measures itself"):
        service.gauge("system_memory_percent", 1)


def test_values_that_cannot_be_are_refused(service: Metrics) -> None:
    with pytest.raises(InvalidRequestError, match="counter 'c' got -1"):
        service.counter("c", -1)
    with pytest.raises(InvalidRequestError, match="counter 'c' got nan"):
        service.counter("c", float("nan"))
    with pytest.raises(InvalidRequestError, match="gauge 'g' got inf"):
        service.gauge("g", float("inf"))
    with pytest.raises(InvalidRequestError, match="'c' is a counter already"):
        service.histogram("c", 1)


def test_eight_threads_lose_nothing(service: Metrics) -> None:
    def work(_: int) -> None:
        bound = service.counter("hits", 0)
        for _ in range(2000):
            bound.add()
            service.histogram("took", 1.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = CustomCollector(service).collect()
    assert (found["hits"], found["took_count"], found["took_sum"]) == (16000, 16000, 16000)


def test_an_alert_watches_what_the_application_measures(service: Metrics) -> None:
    custom, alerts = CustomCollector(service), AlertsCollector(service)
    service.attach([custom, alerts], lambda: {"framework_memory_cache_entries": 5.0})
    service.alert("deep", metric="depth", above=10)
    service.alert("cached", metric="framework_memory_cache_entries", above=4)
    service.alert("unknown", metric="surely_unknown", above=4)

    def states(depth: float) -> dict[str, str]:
        service.gauge("depth", depth)
        custom.collect()
        raised = alerts.collect()["alerts_raised"]
        found = {row["alert"]: row["state"] for row in service.alerts()}
        assert raised == list(found.values()).count("raised")
        return found

    assert states(3) == {"deep": "clear", "cached": "raised", "unknown": "no data"}
    assert states(11)["deep"] == "raised"
    assert states(9)["deep"] == "clear"
    service.clear_alert("cached")
    service.clear_alert("never there")
    assert set(states(0)) == {"deep", "unknown"}


def test_a_condition_may_use_the_service_or_hang_and_holds_up_nobody(service: Metrics) -> None:
    asked, release = threading.Event(), threading.Event()

    def condition() -> bool:
        service.alert("other", {"message": "raised by a condition"})
        asked.set()
        return release.wait(60)

    service.alert("odd", condition=condition)
    collector = AlertsCollector(service)
    looking = threading.Thread(target=collector.collect, daemon=True)
    looking.start()
    assert asked.wait(30)
    assert {row["alert"]: row["state"] for row in service.alerts()} == {"odd": "clear", "other": "raised"}
    collector.close()  # as at the end of the host, which must not wait for it
    assert looking.is_alive()
    service.clear_alert("odd")
    release.set()
    looking.join(30)
    assert [row["alert"] for row in service.alerts()] == ["other"]


def test_an_alert_on_what_is_no_number_has_no_data_and_stops_no_other(service: Metrics) -> None:
    reported: dict[str, Any] = {"words": "many", "nan": float("nan"), "much": float("inf")}
    service.attach([], lambda: reported)
    for name in reported:
        service.alert(name, metric=name, above=5)
    assert AlertsCollector(service).collect()["alerts_raised"] == 1
    assert [row["state"] for row in service.alerts()] == ["no data", "no data", "raised"]


def test_raising_again_only_changes_the_message_and_clearing_forgets(service: Metrics) -> None:
    first = service.alert("odd", {"message": "one"})
    assert service.alert("odd", {"message": "two", "level": "error"}) is first
    assert [(row["times"], row["message"], row["level"]) for row in service.alerts()] == [(1, "two", "error")]
    service.clear_alert("odd")
    assert service.alerts() == []
    assert first.state == "clear"


def test_there_is_an_end_of_alerts(service: Metrics) -> None:
    for number in range(MOST_ALERTS):
        service.alert(f"a{number}", {"level": "info"})
    with pytest.raises(InvalidRequestError, match=f"one more than the {MOST_ALERTS} that are allowed"):
        service.alert("one too many", {"level": "info"})


def test_the_names_of_the_package_are_those_of_the_service() -> None:
    assert plugin_system.metrics is plugin_system.service.metrics
    for name in plugin_system.__all__:
        assert getattr(plugin_system, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'gague'; it has Alert"):
        _ = plugin_system.gague


async def test_the_service_of_a_host_is_the_one_of_the_process_and_reports_in_parts() -> None:
    config = {
        "plugins": {"system": {"alerts": {"any_memory": {"metric": "system_memory_percent", "above": 0.0001}}}},
        "resource_management": {"monitoring_enabled": False},
    }
    async with Framework.from_config(config) as host:
        service: Any = await host.service("metrics")
        assert service is plugin_system.metrics
        service.gauge("test_depth", 4)
        flat = await host.update_metrics()
        assert flat["test_depth"] == 4
        assert flat["alerts_raised"] >= 1
        assert {"system_memory_percent", "cpu_usage", "runtime_tasks", "disk_usage_gb"} <= set(flat)
        assert [row["state"] for row in service.alerts() if row["alert"] == "any_memory"] == ["raised"]
        report = service.report()
        assert set(report) == {"system", "runtime", "tasks", "network", "custom"}
        assert report["system"]["memory_total_mb"] == flat["memory_total_mb"]
        assert report["system"]["disk_total_gb"] == flat["disk_total_gb"]
        assert report["custom"]["test_depth"] == 4
    assert [row for row in service.alerts() if row["alert"] == "any_memory"] == []


def test_the_defaults_are_those_of_the_model() -> None:
    assert Defaults()._asdict() == SystemSettings().model_dump()


def test_starting_with_an_empty_section_does_not_wait_for_pydantic() -> None:
    code = (
        "import asyncio, sys\nfrom framework import Framework\n"
        "async def main():\n"
        "    async with Framework.from_config({'plugins': {'system': {}}}) as host:\n"
        "        assert host.plugins.record('system').state.value == 'active'\n"
        "        print('pydantic' in sys.modules)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alerts": {"hot": {"metric": "cpu_usage"}}}, "The alert 'hot' has metric"),
        ({"alerts": {"hot": {"level": "warning"}}}, "The alert 'hot' has no metric"),
        ({"alerts": {"hot": {"metric": "m", "abvoe": 1}}}, "unknown key 'abvoe'"),
        ({"disk_path": ""}, "disk_path"),
        ({"disk": "/"}, "disk"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        SystemSettings.model_validate(wrong)
