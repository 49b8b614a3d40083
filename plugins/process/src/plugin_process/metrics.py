"""`ProcessMetrics`: how many children and threads run."""

from __future__ import annotations

from plugin_process.provider import ProcessProvider


class ProcessMetrics:
    """Counts what runs now; what ended but is still held does not count."""

    name = "process"

    def __init__(self, provider: ProcessProvider) -> None:
        self._provider = provider

    def collect(self) -> dict[str, float]:
        """Return the two counts."""
        children, threads = self._provider.running()
        return {"framework_process_children_running": children, "framework_process_threads_running": threads}
