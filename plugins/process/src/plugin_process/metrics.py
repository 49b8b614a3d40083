"""`ProcessMetrics`: how many children and threads run, and what the children used."""

from __future__ import annotations

from plugin_process.provider import ProcessProvider


class ProcessMetrics:
    """Counts what runs now, not what ended but is still held; and what children that ended had used in all."""

    name = "process"

    def __init__(self, provider: ProcessProvider) -> None:
        self._provider = provider

    def collect(self) -> dict[str, float]:
        """Return the counts, seconds of processors, and bytes from and to disks."""
        children, threads = self._provider.running()
        return {
            "framework_process_children_running": children,
            "framework_process_threads_running": threads,
            "framework_process_cpu_seconds": self._provider.cpu_seconds,
            "framework_process_disk_bytes": self._provider.disk_bytes,
            "framework_process_out_of_memory": self._provider.out_of_memory,
        }
