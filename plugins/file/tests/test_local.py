from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import (
    FrameworkError,
    InvalidRequestError,
    LeaseStateError,
    ResourceError,
    ResourceUnavailableError,
)
from plugin_file import FileProvider

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


async def test_a_file_is_there_while_it_is_held(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    async with await provider.create_local_file("a", str(path), size=5000) as file:
        found = path.stat()
        assert (found.st_size, found.st_mode & 0o7777) == (5000, 0o600)
        assert found.st_blocks * 512 >= 5000
        assert path.read_bytes() == bytes(5000)
        assert file.path == str(path)
    assert not path.exists()
    assert not file.is_allocated()


async def test_a_persistent_file_stays_with_what_was_written(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    file = await provider.create_local_file("a", path, persistent=True)
    file.open().write(b"hello")  # neither flushed nor closed
    await file.release()
    assert path.read_bytes() == b"hello"


async def test_releasing_twice_is_harmless_even_when_the_path_is_taken_again(
    provider: FileProvider, tmp_path: Path
) -> None:
    path = tmp_path / "a.dat"
    first = await provider.create_local_file("a", path)
    await first.release()
    second = await provider.create_local_file("a", path)
    await first.release()
    assert path.exists()
    await second.release()


async def test_a_way_there_that_cannot_be_gone_any_more_is_said(provider: FileProvider, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = await provider.create_local_file("a", folder / "a.dat")
    folder.rename(tmp_path / "moved")
    folder.symlink_to(folder)  # a link to itself
    with pytest.raises(ResourceUnavailableError, match=r"cannot open .*: too many levels of symbolic links"):
        file.open()
    folder.unlink()
    (tmp_path / "moved").rename(folder)
    await file.release()
    assert os.listdir(folder) == []


async def test_a_strangers_file_in_its_place_is_left_alone(
    provider: FileProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.dat"
    file = await provider.create_local_file("a", path)
    path.unlink()
    path.write_bytes(b"mine")
    with pytest.raises(ResourceUnavailableError, match="is not the file that was created"):
        file.open()
    with caplog.at_level("WARNING", logger="framework"):
        await file.release()
    assert path.read_bytes() == b"mine"
    assert not file.is_allocated()
    assert "file_was_replaced" in caplog.text


async def test_a_link_in_its_place_is_left_alone(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    file = await provider.create_local_file("a", path)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    await file.release()
    assert path.is_symlink()
    assert (tmp_path / "moved").exists()


@pytest.mark.parametrize("gone", ["file", "directory"])
async def test_what_vanished_is_released_quietly(provider: FileProvider, tmp_path: Path, gone: str) -> None:
    path = tmp_path / "inner" / "a.dat"
    path.parent.mkdir()
    file = await provider.create_local_file("a", path)
    path.unlink()
    if gone == "directory":
        path.parent.rmdir()
        path.parent.write_bytes(b"")
    await file.release()
    assert not file.is_allocated()


async def test_handles_read_and_write_and_are_closed_by_the_release(provider: FileProvider, tmp_path: Path) -> None:
    file = await provider.create_local_file("a", tmp_path / "a.dat", size=3)
    with file.open("r+b") as closed_here:
        closed_here.write(b"abc")
    appender = file.open("ab")
    appender.write(b"def")
    appender.flush()
    reader = file.open("rb")
    assert reader.read() == b"abcdef"
    assert os.pread(file.fd, 2, 1) == b"bc"
    await file.release()
    assert appender.closed
    assert reader.closed


@pytest.mark.parametrize("mode", ["wb", "w+b", "r", "w", "", "xb"])
async def test_modes_that_give_up_the_reservation_or_are_text_are_refused(
    provider: FileProvider, tmp_path: Path, mode: str
) -> None:
    file = await provider.create_local_file("a", tmp_path / "a.dat", size=3)
    with pytest.raises(InvalidRequestError, match=r"allowed: rb, r\+b, ab, a\+b"):
        file.open(mode)
    assert os.path.getsize(file.path) == 3


async def test_a_released_file_cannot_be_used(provider: FileProvider, tmp_path: Path) -> None:
    file = await provider.create_local_file("a", tmp_path / "a.dat", persistent=True)
    await file.release()
    with pytest.raises(LeaseStateError, match="was released"):
        file.open()
    with pytest.raises(LeaseStateError, match="was released"):
        _ = file.fd


async def test_cleanup_releases_everything_and_refuses_more(tmp_path: Path) -> None:
    provider = FileProvider()
    await provider.initialize()
    held = [await provider.create_local_file(f"f{number}", tmp_path / str(number)) for number in range(5)]
    held.append(await provider.create_temp_file("t", directory=tmp_path))
    await provider.cleanup()
    assert os.listdir(tmp_path) == []
    assert not any(file.is_allocated() for file in held)
    with pytest.raises(FrameworkError, match="not initialized"):
        await provider.create_local_file("a", tmp_path / "a.dat")


async def test_a_removal_that_is_refused_can_be_tried_again(run: Script, tmp_path: Path, as_nobody: tuple[str]) -> None:
    tmp_path.chmod(0o755)
    where = tmp_path / "theirs"
    where.mkdir()
    os.chown(where, 65534, 65534)
    reach = [parent for parent in where.parents if not parent.stat().st_mode & 0o001]
    for parent in reach:
        parent.chmod(parent.stat().st_mode | 0o001)
    found = run(
        """
        async def main():
            provider = await ready()
            file = await provider.create_local_file("a", where + "/a.dat")
            os.chmod(where, 0o500)
            first = await refused(file.release())
            status = file.status.value
            os.chmod(where, 0o700)
            again = await refused(file.release())
            report(first=first, status=status, again=again, left=os.listdir(where), held=file.is_allocated())
        asyncio.run(main())
        """,
        where,
        prefix=as_nobody,
    )
    assert found["first"][0] == ResourceUnavailableError.__name__
    assert "cannot remove" in found["first"][1]
    assert (found["status"], found["again"], found["left"], found["held"]) == ("error", ["accepted", ""], [], False)


async def test_a_forked_child_removes_nothing_and_writes_nothing_twice(run: Script, tmp_path: Path) -> None:
    found = run(
        """
        async def main():
            provider = await ready()
            kept = await provider.create_local_file("k", where + "/kept", persistent=True)
            kept.open().write(b"once")
            return provider, await provider.create_local_file("a", where + "/a"), kept
        provider, file, kept = asyncio.run(main())
        child = os.fork()
        if child == 0:
            asyncio.run(provider.cleanup())
            os._exit(file.is_allocated())
        _, status = os.waitpid(child, 0)
        there = os.path.exists(file.path)
        asyncio.run(provider.cleanup())
        with open(kept.path) as text:
            report(child=status, there=there, left=sorted(os.listdir(where)), text=text.read())
        """,
        tmp_path,
    )
    assert found == {"child": 0, "there": True, "left": ["kept"], "text": "once"}


async def test_lost_writes_are_reported_once_and_the_file_is_released(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "tmpfs",
        "size=1m",
        """
        async def main():
            provider = await ready()
            file = await provider.create_local_file("a", where + "/a", persistent=True)
            file.open().write(b"x" * 100)  # stays in the buffer
            with open(where + "/filler", "wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, 1 << 20)
            report(first=await refused(file.release()), again=await refused(file.release()), held=file.is_allocated())
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["first"][0] == ResourceError.__name__
    assert "is lost" in found["first"][1]
    assert "No space left" in found["first"][1]
    assert (found["again"], found["held"]) == (["accepted", ""], False)
