from __future__ import annotations

import pydantic
import pytest

from framework import PluginContextManager
from plugin_memory.plugin import MemoryPlugin
from plugin_memory.settings import MemorySettings


def test_the_settings_reach_the_provider() -> None:
    plugin = MemoryPlugin()
    plugin.settings = MemorySettings(max_bytes=77)
    (provider,) = plugin.register_resource_providers()
    assert provider is plugin.provider
    assert plugin.provider.max_bytes == 77


def test_the_collector_measures_the_registered_provider() -> None:
    plugin = MemoryPlugin()
    plugin.register_resource_providers()
    (collector,) = plugin.register_metrics_collectors()
    assert set(collector.collect().values()) == {0}


@pytest.mark.parametrize("wrong", [{"max_bytes": -1}, {"max_bytes": "lots"}, {"max_byte": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        MemorySettings.model_validate(wrong)


def test_the_kinds_are_described() -> None:
    kinds = {record.kind: record for record in MemoryPlugin().provider.kinds("memory")}
    assert set(kinds) == {"memory.attached", "memory.buffer", "memory.cache", "memory.shared"}
    assert [parameter.name for parameter in kinds["memory.shared"].parameters] == ["name", "size", "persistent"]
    assert all(record.description for record in kinds.values())


@pytest.mark.anyio
async def test_the_plugin_starts_and_stops_without_a_host() -> None:
    async with PluginContextManager(MemoryPlugin()) as plugin:
        assert isinstance(plugin, MemoryPlugin)
