from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, ResourceLimitError, ResourceUnavailableError
from plugin_file import FileProvider

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]
CHUNKS = 3 * (16 << 20)  # reserved in three steps, between which others run


async def test_a_cancelled_creation_leaves_nothing(provider: FileProvider, tmp_path: Path) -> None:
    creation = asyncio.create_task(provider.create_local_file("a", tmp_path / "a.dat", CHUNKS))
    while not os.listdir(tmp_path):
        await asyncio.sleep(0)
    creation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creation
    assert os.listdir(tmp_path) == []
    assert provider.holdings.held_bytes == 0


async def test_a_large_size_is_reserved_to_the_last_byte(provider: FileProvider, tmp_path: Path) -> None:
    async with await provider.create_local_file("a", tmp_path / "a.dat", CHUNKS + 1) as file:
        found = os.stat(file.path)
        assert found.st_size == CHUNKS + 1
        assert found.st_blocks * 512 > CHUNKS


async def test_zeros_are_written_where_nothing_can_be_reserved(
    provider: FileProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")  # as on macOS
    async with await provider.create_local_file("a", tmp_path / "a.dat", (16 << 20) + 4097) as file:
        found = os.stat(file.path)
        assert found.st_size == (16 << 20) + 4097
        assert found.st_blocks * 512 >= found.st_size
        assert not any(file.open("rb").read())


@pytest.mark.parametrize("size", [1 << 60, 1 << 63, 1 << 200])
async def test_more_than_the_file_system_is_refused_with_both_numbers(
    provider: FileProvider, tmp_path: Path, size: int
) -> None:
    with pytest.raises(ResourceLimitError, match=rf"size {size}, but the file system of .* has \d+ bytes"):
        await provider.create_local_file("a", tmp_path / "a.dat", size)
    assert os.listdir(tmp_path) == []


async def test_a_negative_size_is_refused(provider: FileProvider, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="size -1"):
        await provider.create_local_file("a", tmp_path / "a.dat", -1)


async def test_a_full_disk_is_refused_with_both_numbers_before_anything_is_written(
    run_on: Script, tmp_path: Path
) -> None:
    found = run_on(
        "tmpfs",
        "size=64m",
        """
        async def main():
            provider = await ready()
            first = await provider.create_local_file("a", where + "/a", 40 << 20)
            local = await refused(provider.create_local_file("b", where + "/b", 40 << 20))
            temp = await refused(provider.create_temp_file("c", 40 << 20, directory=where))
            report(local=local, temp=temp, left=os.listdir(where), held=provider.holdings.held_bytes)
        asyncio.run(main())
        """,
        tmp_path,
    )
    for name, text in (found["local"], found["temp"]):
        assert name == ResourceUnavailableError.__name__
        assert f"size {40 << 20}" in text
        assert f"has {24 << 20} bytes free" in text
    assert found["left"] == ["a"]
    assert found["held"] == 40 << 20


async def test_a_disk_that_fills_up_during_the_creation_leaves_nothing(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "tmpfs",
        "size=64m",
        """
        async def main():
            provider = await ready()
            creation = asyncio.ensure_future(refused(provider.create_local_file("a", where + "/a", 48 << 20)))
            while not os.listdir(where):
                await asyncio.sleep(0)
            with open(where + "/filler", "wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, 40 << 20)
            report(refused=await creation, left=os.listdir(where), held=provider.holdings.held_bytes)
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert f"cannot reserve {48 << 20} bytes" in found["refused"][1]
    assert "no space left on device" in found["refused"][1]
    assert (found["left"], found["held"]) == (["filler"], 0)


async def test_a_disk_without_inodes_is_an_error(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "tmpfs",
        "nr_inodes=2",
        """
        async def main():
            provider = await ready()
            first = await provider.create_temp_file("a", directory=where)
            report(refused=await refused(provider.create_temp_file("b", directory=where)), left=len(os.listdir(where)))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert "no space left on device" in found["refused"][1]
    assert found["left"] == 1


async def test_a_file_system_that_cannot_reserve_and_has_no_size_works(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "ramfs",
        "mode=700",
        """
        async def main():
            async with await (await ready()).create_local_file("a", where + "/a", 1 << 20) as file:
                blocks = os.statvfs(where).f_blocks
                report(blocks=blocks, size=os.path.getsize(file.path), left=os.listdir(where))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found == {"blocks": 0, "size": 1 << 20, "left": ["a"]}


async def test_the_limit_on_file_sizes_is_an_error_and_leaves_nothing(run: Script, tmp_path: Path) -> None:
    found = run(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        async def main():
            report(refused=await refused((await ready()).create_local_file("a", where + "/a", 8192)))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["refused"][0] == ResourceLimitError.__name__
    assert "file too large" in found["refused"][1]
    assert os.listdir(tmp_path) == []
