from __future__ import annotations

from pathlib import Path

import pytest

from framework import MetricsCollector
from framework.errors import ResourceLimitError, ResourceUnavailableError
from plugin_file import FileProvider

pytestmark = pytest.mark.anyio


async def capped(max_bytes: int) -> FileProvider:
    provider = FileProvider(max_bytes=max_bytes)
    await provider.initialize()
    return provider


async def test_the_cap_counts_both_kinds_together_and_names_the_numbers(tmp_path: Path) -> None:
    provider = await capped(100)
    await provider.create_local_file("a", tmp_path / "a", 40)
    await provider.create_temp_file("b", 50, directory=tmp_path)
    with pytest.raises(ResourceLimitError, match="got size 11, but of the 100 bytes that max_bytes allows 90 are held"):
        await provider.create_local_file("c", tmp_path / "c", 11)
    assert not (tmp_path / "c").exists()
    await provider.create_local_file("c", tmp_path / "c", 10)
    await provider.cleanup()


async def test_what_is_released_or_failed_can_be_taken_again(tmp_path: Path) -> None:
    provider = await capped(100)
    for persistent in (False, True):
        async with await provider.create_local_file("a", tmp_path / "a", 100, persistent):
            assert provider.holdings.held_bytes == 100
    with pytest.raises(ResourceUnavailableError):
        await provider.create_local_file("a", tmp_path / "a", 100)
    assert provider.holdings.held_bytes == 0


async def test_measurements_name_bytes_and_resources_by_kind(provider: FileProvider, tmp_path: Path) -> None:
    assert isinstance(provider.holdings, MetricsCollector)
    await provider.create_local_file("a", tmp_path / "a", 40)
    await provider.create_temp_file("b", directory=tmp_path)
    assert provider.holdings.collect() == {
        "framework_file_local_bytes": 40,
        "framework_file_local_resources": 1,
        "framework_file_temp_bytes": 0,
        "framework_file_temp_resources": 1,
    }
