"""What the collector counts."""

import pytest

from plugin_process import ProcessProvider, ProcessSettings
from plugin_process.plugin import ProcessPlugin

pytestmark = pytest.mark.anyio


async def test_it_counts_what_runs_and_not_what_ended() -> None:
    plugin = ProcessPlugin()
    plugin.settings = ProcessSettings(stop_grace=1)
    (provider,) = plugin.register_resource_providers()
    (collector,) = plugin.register_metrics_collectors()
    assert isinstance(provider, ProcessProvider)
    await provider.initialize()
    assert collector.collect() == {"framework_process_children_running": 0, "framework_process_threads_running": 0}

    await provider.create_local_process("a", "sleep", args=["100"])
    ended = await provider.create_local_process("b", "true")
    await ended.wait()
    await provider.create_thread("c", lambda stop: stop.wait())
    assert collector.collect() == {"framework_process_children_running": 1, "framework_process_threads_running": 1}
    await provider.cleanup()
