from __future__ import annotations

import pydantic
import pytest

from framework import PluginContextManager
from plugin_file.plugin import FilePlugin
from plugin_file.settings import FileSettings


def test_the_settings_reach_the_provider() -> None:
    plugin = FilePlugin()
    plugin.settings = FileSettings(roots=["/srv"], max_bytes=77, temp_directory="/scratch")
    (provider,) = plugin.register_resource_providers()
    assert provider is plugin.provider
    assert plugin.provider.roots == ("/srv",)
    assert plugin.provider.temp_directory == "/scratch"
    assert plugin.provider.max_bytes == 77


def test_the_collector_measures_the_registered_provider() -> None:
    plugin = FilePlugin()
    plugin.register_resource_providers()
    (collector,) = plugin.register_metrics_collectors()
    assert set(collector.collect().values()) == {0}


@pytest.mark.parametrize("wrong", [{"max_bytes": -1}, {"roots": "srv"}, {"temp_directory": ""}, {"root": []}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        FileSettings.model_validate(wrong)


def test_the_kinds_are_described() -> None:
    kinds = {record.kind: record for record in FilePlugin().provider.kinds("file")}
    assert set(kinds) == {"file.directory", "file.local", "file.temp"}
    assert [parameter.name for parameter in kinds["file.local"].parameters] == [
        "name",
        "path",
        "size",
        "persistent",
        "replace",
    ]
    assert all(record.description for record in kinds.values())


@pytest.mark.anyio
async def test_the_plugin_starts_and_stops_without_a_host() -> None:
    async with PluginContextManager(FilePlugin()) as plugin:
        assert isinstance(plugin, FilePlugin)
