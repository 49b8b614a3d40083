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
    assert set(collector.collect().values()) == {0}

    running = await provider.create_local_process("a", "sleep", args=["100"])
    ended = await provider.create_local_process("b", "i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done", shell=True)
    await ended.wait()
    thread = await provider.create_thread("c", lambda stop: stop.wait())
    assert running.is_allocated()
    assert thread.is_allocated()
    measured = collector.collect()
    assert measured["framework_process_children_running"] == 1
    assert measured["framework_process_threads_running"] == 1
    assert ended.resource_use is not None
    seconds = ended.resource_use.user_seconds + ended.resource_use.system_seconds
    assert measured["framework_process_cpu_seconds"] == seconds > 0
    await provider.cleanup()
