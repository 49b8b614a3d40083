"""Every metric that this plugin measures: its unit, and what it means. The reference and the command read it."""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """Unit and meaning of a metric."""

    unit: str
    meaning: str


_PRESSURE = {
    f"system_pressure_{resource}_{kind}_percent": Name("%", f"last 10 s in which {who} waited for {what}")
    for resource, what in (("cpu", "a processor"), ("memory", "memory"), ("io", "a disk"))
    for kind, who in (("some", "some tasks"), ("full", "all tasks"))
}
_COST = {
    f"{collector}_collect_seconds": Name("s", f"what the former collection of `{collector}` took")
    for collector in ("system", "process", "runtime", "network", "disk", "tasks", "custom", "alerts")
}
NAMES: dict[str, Name] = {
    "system_memory_percent": Name("%", "memory used of what this process may use"),
    "system_memory_limit_bytes": Name("bytes", "the least limit over the machine, the control group and its ancestors"),
    "system_memory_used_bytes": Name("bytes", "used of that limit, file pages that can be dropped left out"),
    "system_memory_available_bytes": Name("bytes", "what fits before any limit is reached"),
    "memory_usage_mb": Name("MiB", "the same as `system_memory_used_bytes`"),
    "memory_total_mb": Name("MiB", "the same as `system_memory_limit_bytes`"),
    "system_cpu_percent": Name("%", "processor time used of what this process may use, since the former collection"),
    "cpu_usage": Name("%", "the same as `system_cpu_percent`"),
    "system_cpu_limit": Name("processors", "how many may be kept busy: affinity and quotas"),
    "system_cpu_throttled_percent": Name("%", "periods in which the quota was used up, since the former collection"),
    "load_avg_1m": Name("tasks", "load average of the machine over a minute"),
    "process_count": Name("processes", "that can be seen; counted every 10 s at most"),
    **_PRESSURE,
    "host_memory_percent": Name("%", "memory of the whole machine that cannot be had without swapping"),
    "host_memory_total_bytes": Name("bytes", "memory of the whole machine"),
    "host_memory_available_bytes": Name("bytes", "what of that can be had without swapping"),
    "host_cpu_percent": Name("%", "processor time of the whole machine, since the former collection"),
    "host_cpu_count": Name("processors", "of the whole machine"),
    "process_cpu_seconds": Name("s", "processor time of this process so far"),
    "process_cpu_percent": Name("%", "the same, of what it may use, since the former collection"),
    "process_rss_bytes": Name("bytes", "memory of this process that is resident"),
    "process_vms_bytes": Name("bytes", "its address space"),
    "process_memory_percent": Name("%", "its resident memory, of `system_memory_limit_bytes`"),
    "process_threads": Name("threads", "of this process, those of C libraries too"),
    "process_major_faults": Name("faults", "pages that had to be read from a disk"),
    "process_uptime_seconds": Name("s", "since this process was started"),
    "process_open_fds": Name("descriptors", "open in this process"),
    "process_fds_limit": Name("descriptors", "that it may open; 0 for no limit"),
    "process_read_bytes": Name("bytes", "read from disks for this process"),
    "process_written_bytes": Name("bytes", "written to disks by this process"),
    "process_read_bytes_per_second": Name("bytes/s", "the same, since the former collection"),
    "process_written_bytes_per_second": Name("bytes/s", "the same, since the former collection"),
    "runtime_threads": Name("threads", "that Python knows"),
    "runtime_tasks": Name("tasks", "of the host's event loop that are not done"),
    "runtime_heap_blocks": Name("blocks", "that Python's allocator has handed out"),
    "runtime_gc_collections": Name("collections", "of the garbage collector, all generations"),
    "runtime_gc_collected": Name("objects", "that it collected"),
    "runtime_gc_uncollectable": Name("objects", "that it could not collect"),
    "runtime_gc_pause_seconds": Name("s", "that it took, since the plugin was started"),
    "runtime_gc_longest_pause_seconds": Name("s", "its longest run, since the plugin was started"),
    "network_rx_mb": Name("MiB", "received over all interfaces but loopback"),
    "network_tx_mb": Name("MiB", "sent"),
    "network_rx_bytes": Name("bytes", "received"),
    "network_tx_bytes": Name("bytes", "sent"),
    "network_rx_bytes_per_second": Name("bytes/s", "received, since the former collection"),
    "network_tx_bytes_per_second": Name("bytes/s", "sent, since the former collection"),
    "network_rx_errors": Name("packets", "received with errors"),
    "network_tx_errors": Name("packets", "not sent for errors"),
    "network_rx_dropped": Name("packets", "received and dropped"),
    "network_tx_dropped": Name("packets", "dropped before they were sent"),
    "disk_usage_gb": Name("GiB", "used of the file system of `disk_path`"),
    "disk_total_gb": Name("GiB", "size of that file system"),
    "disk_free_bytes": Name("bytes", "free there for those who are not root"),
    "disk_percent": Name("%", "used there, as `df` says it"),
    "disk_inodes_percent": Name("%", "inodes used there; 0 where there are none"),
    "tasks_executions": Name("executions", "of plugins, by `Framework.execute`"),
    "tasks_failures": Name("executions", "that failed"),
    "tasks_latency_seconds": Name("s", "that one took on average"),
    "tasks_longest_seconds": Name("s", "that the longest one took"),
    "alerts_raised": Name("alerts", "that are raised now"),
    **_COST,
}
