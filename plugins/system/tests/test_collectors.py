from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from framework import MetricsManager, PluginMonitor
from plugin_system.custom import TasksCollector
from plugin_system.disk import DiskCollector
from plugin_system.network import NetworkCollector
from plugin_system.process import ProcessCollector
from plugin_system.runtime import RuntimeCollector
from plugin_system.system import SystemCollector

pytestmark = pytest.mark.anyio
MIB = 1 << 20
LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="this system has no /proc")

Machine = Callable[..., str]


def test_memory_is_that_of_the_group_and_the_hosts_own_stands_beside_it(machine: Machine) -> None:
    found = SystemCollector(machine()).collect()
    used = 209715200 - 50000000 - 25497600
    assert found["system_memory_limit_bytes"] == 256 * MIB
    assert found["system_memory_used_bytes"] == used
    assert found["system_memory_percent"] == pytest.approx(100 * used / (256 * MIB))
    assert found["system_memory_available_bytes"] == 256 * MIB - used
    assert (found["memory_usage_mb"], found["memory_total_mb"]) == (used / MIB, 256)
    assert (found["host_memory_total_bytes"], found["host_memory_percent"]) == (8192 * MIB, 25.0)


def test_cpu_is_of_the_quota_and_the_hosts_own_stands_beside_it(machine: Machine, clock: Any) -> None:
    root = machine()
    collector = SystemCollector(root, clock)
    first = collector.collect()
    assert (first["system_cpu_percent"], first["host_cpu_percent"]) == (0, 0)
    stat = "usage_usec 800000\nnr_periods 20\nnr_throttled 5\nthrottled_usec 1\n"
    Path(root, "sys/fs/cgroup/app/cpu.stat").write_text(stat)
    Path(root, "proc/stat").write_text("cpu  1100 0 0 9000 0 0 0 0 0 0\ncpu0 1100 0 0 9000 0 0 0 0 0 0\n")
    clock.now += 2
    found = collector.collect()
    assert found["system_cpu_percent"] == found["cpu_usage"] == pytest.approx(80)  # 0.8 s of 2 s of half a processor
    assert found["host_cpu_percent"] == pytest.approx(100 * 100 / os.sysconf("SC_CLK_TCK") / 2)
    assert (found["system_cpu_limit"], found["host_cpu_count"]) == (0.5, 1)
    assert found["system_cpu_throttled_percent"] == pytest.approx(25)


def test_a_group_that_is_left_for_another_does_not_make_a_peak(machine: Machine, clock: Any) -> None:
    root = machine()
    collector = SystemCollector(root, clock)
    collector.collect()
    Path(root, "sys/fs/cgroup/app/cpu.max").write_text("max 100000\n")  # now the machine's time counts
    clock.now += 1
    assert collector.collect()["system_cpu_percent"] == 0
    clock.now += 1
    assert collector.collect()["system_cpu_percent"] == 0


def test_pressure_is_the_groups_own_and_else_the_machines(machine: Machine) -> None:
    found = SystemCollector(machine()).collect()
    assert found["system_pressure_memory_some_percent"] == 30.0
    assert found["system_pressure_memory_full_percent"] == 12.5
    assert found["system_pressure_io_some_percent"] == 2.0


def test_load_and_processes(machine: Machine) -> None:
    found = SystemCollector(machine()).collect()
    assert (found["load_avg_1m"], found["process_count"]) == (1.25, 2)


def test_a_limit_that_is_lowered_live_is_seen_at_the_next_look(machine: Machine) -> None:
    root = machine()
    collector = SystemCollector(root)
    collector.collect()
    Path(root, "sys/fs/cgroup/app/memory.max").write_text("200000000")
    assert collector.collect()["system_memory_limit_bytes"] == 200000000


def test_what_a_system_does_not_say_is_left_out(tmp_path: Path) -> None:
    root = str(tmp_path)
    found = SystemCollector(root).collect()
    assert set(found) == {"system_collect_seconds", "load_avg_1m"}
    process = ProcessCollector(lambda: (0.0, 0), root).collect()
    assert set(process) == {
        "process_collect_seconds", "process_cpu_seconds", "process_cpu_percent", "process_fds_limit",
    }  # fmt: skip
    assert set(NetworkCollector(root).collect()) == {"network_collect_seconds"}


def test_how_busy_processors_are_is_said_where_memory_is_not(machine: Machine) -> None:
    root = machine()
    Path(root, "proc/meminfo").unlink()
    collector = SystemCollector(root)
    assert {"system_cpu_percent", "system_cpu_limit"} <= set(collector.collect())
    assert set(collector.sources()) == {"cpu"}


def test_the_sources_are_named(machine: Machine) -> None:
    root = machine()
    group = f"{root}/sys/fs/cgroup/app"
    assert SystemCollector(root).sources() == {"memory": group, "cpu": group}


def test_loopback_is_left_out_and_rates_are_differences(machine: Machine, clock: Any, row: Any) -> None:
    root = machine()
    collector = NetworkCollector(root, clock)
    first = collector.collect()
    assert (first["network_rx_bytes"], first["network_tx_bytes"], first["network_rx_bytes_per_second"]) == (
        1000,
        500,
        0,
    )
    assert (first["network_rx_errors"], first["network_tx_dropped"]) == (1, 4)
    head = "a\nb\n"
    Path(root, "proc/self/net/dev").write_text(head + row("lo", 5, 5) + row("eth0", 3000, 600) + row("eth1", 0, 400))
    clock.now += 2
    found = collector.collect()
    assert (found["network_rx_bytes_per_second"], found["network_tx_bytes_per_second"]) == (1000, 250)
    Path(root, "proc/self/net/dev").write_text(head + row("eth1", 0, 400))  # an interface goes, and its counters
    clock.now += 2
    gone = collector.collect()
    assert gone["network_rx_bytes"] == 0
    assert gone["network_rx_bytes_per_second"] == 1000


def test_hundreds_of_interfaces_are_all_read(machine: Machine, row: Any) -> None:
    lines = "".join(row(f"veth{number}", 10, 1) for number in range(400))
    assert NetworkCollector(machine(**{"proc/self/net/dev": "a\nb\n" + lines})).collect()["network_rx_bytes"] == 4000


@LINUX
def test_the_process_agrees_with_an_independent_reader() -> None:
    collector = ProcessCollector(lambda: (1.0, 4 << 30))
    found, peer = collector.collect(), psutil.Process()
    assert found["process_rss_bytes"] == pytest.approx(peer.memory_info().rss, rel=0.2)
    assert found["process_vms_bytes"] == pytest.approx(peer.memory_info().vms, rel=0.2)
    assert found["process_threads"] >= threading.active_count()
    assert found["process_memory_percent"] == pytest.approx(100 * found["process_rss_bytes"] / (4 << 30))
    assert 0 < found["process_cpu_seconds"] <= sum(peer.cpu_times()[:2]) + 1
    collector.close()


@LINUX
def test_descriptors_are_counted() -> None:
    collector = ProcessCollector(lambda: (1.0, 1))
    before = collector.collect()["process_open_fds"]
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    try:
        before = collector.collect()["process_open_fds"] - 5 if before else before
        assert abs(collector.collect()["process_open_fds"] - psutil.Process().num_fds()) <= 1
    finally:
        for file in files:
            os.close(file)
    assert collector.collect()["process_open_fds"] == before
    collector.close()


@LINUX
def test_the_real_system_agrees_with_an_independent_reader() -> None:
    collector = SystemCollector()
    found = collector.collect()
    assert found["host_memory_total_bytes"] == psutil.virtual_memory().total
    assert found["host_cpu_count"] == psutil.cpu_count()
    assert abs(found["process_count"] - len(psutil.pids())) <= 50
    collector.close()


FORKED = """
import os, threading
from plugin_system.process import ProcessCollector

collector = ProcessCollector(lambda: (1.0, 1))
for _ in range(5):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(int(collector.collect()["process_threads"]), flush=True)
if os.fork() == 0:
    print(int(collector.collect()["process_threads"]), flush=True)
    os._exit(0)
os.wait()
"""


@LINUX
def test_a_forked_child_measures_itself() -> None:
    # in a program of its own: other tests leave fork handlers of libraries that start threads
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout == "6\n1\n"


async def test_tasks_and_pauses_of_the_runtime() -> None:
    collector = RuntimeCollector()
    assert collector.collect()["runtime_tasks"] == 0
    collector.start(asyncio.get_running_loop())
    try:
        before = collector.collect()
        others = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(7)]
        gc.collect()
        found = collector.collect()
        assert found["runtime_tasks"] == before["runtime_tasks"] + 7
        assert found["runtime_gc_collections"] > before["runtime_gc_collections"]
        assert found["runtime_gc_pause_seconds"] > before["runtime_gc_pause_seconds"]
        assert 0 < found["runtime_gc_longest_pause_seconds"] <= found["runtime_gc_pause_seconds"]
        assert found["runtime_threads"] == threading.active_count()
        for one in others:
            one.cancel()
    finally:
        collector.stop()
    assert collector.collect()["runtime_tasks"] == 0


def test_starting_twice_times_once_and_stopping_leaves_nothing() -> None:
    before = list(gc.callbacks)
    collector = RuntimeCollector()
    loop = asyncio.new_event_loop()
    collector.start(loop)
    collector.start(loop)
    assert len(gc.callbacks) == len(before) + 1
    collector.stop()
    collector.stop()
    assert gc.callbacks == before
    loop.close()


def test_the_disk_agrees_with_the_system_and_stands_when_it_cannot_be_asked(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    collector = DiskCollector(str(folder))
    found = collector.collect()
    assert found["disk_total_gb"] == pytest.approx(psutil.disk_usage(str(folder)).total / (1 << 30))
    assert 0 <= found["disk_percent"] <= 100
    folder.rmdir()
    assert collector.collect()["disk_total_gb"] == found["disk_total_gb"]


async def test_tasks_are_what_plugins_executed() -> None:
    manager = MetricsManager()
    monitor, collector = PluginMonitor(manager), TasksCollector(manager)
    assert collector.collect()["tasks_executions"] == 0
    await monitor.record_operation("execute", "a", duration=1.0)
    await monitor.record_operation("execute", "b", success=False, duration=3.0)
    await monitor.record_operation("health", "b", duration=50.0)
    found = collector.collect()
    assert (found["tasks_executions"], found["tasks_failures"]) == (2, 1)
    assert (found["tasks_latency_seconds"], found["tasks_longest_seconds"]) == (2.0, 3.0)


def test_its_own_cost_is_measured(machine: Machine) -> None:
    collector = SystemCollector(machine())
    assert collector.collect()["system_collect_seconds"] == 0
    assert 0 < collector.collect()["system_collect_seconds"] < 60
