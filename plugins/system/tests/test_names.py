"""Every metric is documented, and every metric that is documented is measured."""

import asyncio
import os
import re

import pytest

from plugin_system.defaults import Defaults
from plugin_system.names import NAMES
from plugin_system.registration import Registration

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
SEEDED = {
    "cpu_usage", "memory_usage_mb", "memory_total_mb", "disk_usage_gb", "disk_total_gb", "load_avg_1m",
    "network_rx_mb", "network_tx_mb", "process_count", "system_memory_percent",
}  # fmt: skip


def test_what_is_measured_is_what_is_named() -> None:
    registration = Registration(Defaults(), dict)
    loop = asyncio.new_event_loop()
    registration.start(loop)
    try:
        found = [name for one in registration.collectors if one.noun != "custom" for name in one.collect()]
    finally:
        registration.stop()
        loop.close()
    assert len(found) == len(set(found))
    if not os.path.exists("/proc/pressure/memory"):
        pytest.skip("this system does not say all that is named")
    assert set(found) | {"custom_collect_seconds"} == set(NAMES)


def test_the_names_of_the_seeds_are_there() -> None:
    assert set(NAMES) >= SEEDED


def test_the_reference_has_every_name_with_unit_and_meaning() -> None:
    with open(os.path.join(ROOT, "docs", "reference", "metrics.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", file.read().partition("\n## Events")[0], re.MULTILINE)
    assert rows == [(name, one.unit, one.meaning) for name, one in NAMES.items()]
