from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, ResourceLimitError, ResourceUnavailableError
from plugin_file import FileProvider, ReplacementFile

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]
CHUNKS = 3 * (16 << 20)  # reserved in three steps, between which others run


async def test_a_cancelled_creation_leaves_nothing(provider: FileProvider, tmp_path: Path) -> None:
    creation = asyncio.create_task(provider.create_local_file("a", tmp_path / "a.dat", CHUNKS))
    await asyncio.sleep(0)  # the first of three steps
    creation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creation
    assert os.listdir(tmp_path) == []
    assert provider.ledger.statistics().held_bytes == 0


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
            report(local=local, temp=temp, left=os.listdir(where), held=provider.ledger.statistics().held_bytes)
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
            await asyncio.sleep(0)  # the first of three steps
            with open(where + "/filler", "wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, 40 << 20)
            report(refused=await creation, left=os.listdir(where), held=provider.ledger.statistics().held_bytes)
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
            assert first.path
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


@pytest.mark.parametrize(("options", "cause"), [("nr_inodes=1", "no space left on device"), ("ro", "read-only")])
async def test_no_inodes_and_a_read_only_disk_are_errors_for_every_file(
    run_on: Script, tmp_path: Path, options: str, cause: str
) -> None:
    found = run_on(
        "tmpfs",
        options,
        """
        async def main():
            provider = await ready()
            report(
                local=await refused(provider.create_local_file("a", where + "/a")),
                draft=await refused(provider.create_local_file("a", where + "/a", replace=True)),
                temp=await refused(provider.create_temp_file("a", directory=where)),
                left=os.listdir(where),
            )
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found.pop("left") == []
    for name, text in found.values():
        assert name == ResourceUnavailableError.__name__
        assert cause in text


async def test_what_others_create_meanwhile_is_left_alone(provider: FileProvider, tmp_path: Path) -> None:
    creation = asyncio.create_task(provider.create_local_file("a", tmp_path / "a", CHUNKS))
    await asyncio.sleep(0)  # the first of three steps
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(ResourceUnavailableError, match="file exists"):
        await creation
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["a"]
    assert provider.ledger.records() == ()


async def test_files_without_a_name_are_not_needed(
    provider: FileProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_RDWR)  # refused, as by file systems that have none
    async with (
        await provider.create_local_file("a", tmp_path / "a", 10) as local,
        await provider.create_local_file("b", tmp_path / "b", replace=True) as draft,
        await provider.create_temp_file("c", directory=tmp_path) as temp,
    ):
        assert os.path.getsize(local.path) == 10
        assert os.path.exists(temp.path)
        assert isinstance(draft, ReplacementFile)
        await draft.commit()
        with pytest.raises(ResourceUnavailableError, match="file exists"):
            await provider.create_local_file("d", tmp_path / "a")
    assert os.listdir(tmp_path) == ["b"]
