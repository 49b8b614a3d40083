from __future__ import annotations

from pathlib import Path

import pytest

from framework import MetricsCollector
from framework.errors import ResourceLimitError, ResourceUnavailableError
from plugin_file import FileProvider
from plugin_file.collector import FileCollector

pytestmark = pytest.mark.anyio


async def capped(max_bytes: int) -> FileProvider:
    provider = FileProvider(max_bytes=max_bytes)
    await provider.initialize()
    return provider


async def test_the_cap_counts_all_files_together_and_names_the_numbers(tmp_path: Path) -> None:
    provider = await capped(100)
    held = [
        await provider.create_local_file("a", tmp_path / "a", 50),
        await provider.create_temp_file("b", 30, directory=tmp_path),
        await provider.create_local_file("c", tmp_path / "c", 10, replace=True),
    ]
    with pytest.raises(
        ResourceLimitError,
        match=r"asked for 11 bytes, but of the 100 bytes that plugins\.file\.max_bytes allows, 90 are held",
    ):
        await provider.create_temp_file("d", 11, directory=tmp_path)
    await held.pop().release()
    held.append(await provider.create_temp_file("d", 11, directory=tmp_path))
    await provider.cleanup()


async def test_a_failed_creation_is_not_counted(tmp_path: Path) -> None:
    provider = await capped(100)
    file = await provider.create_local_file("a", tmp_path / "a", 30)
    with pytest.raises(ResourceUnavailableError):
        await provider.create_local_file("b", tmp_path / "a", 30)
    assert provider.ledger.statistics().held_bytes == 30
    await file.release()
    assert provider.ledger.statistics().held_bytes == 0


async def test_measurements_name_bytes_and_resources_by_kind(provider: FileProvider, tmp_path: Path) -> None:
    collector: MetricsCollector = FileCollector(provider)
    held = [
        await provider.create_local_file("a", tmp_path / "a", 40),
        await provider.create_temp_file("b", 5, directory=tmp_path),
        await provider.create_temp_file("c", 6, directory=tmp_path),
        await provider.create_directory("d", tmp_path / "d"),
    ]
    assert collector.collect() == {
        "framework_file_local_bytes": 40,
        "framework_file_local_resources": 1,
        "framework_file_temp_bytes": 11,
        "framework_file_temp_resources": 2,
        "framework_file_directory_resources": 1,
    }
    assert all(one.is_allocated() for one in held)
