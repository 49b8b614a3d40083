from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, LeaseStateError, PolicyError, ResourceUnavailableError
from plugin_file import FileProvider

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


async def test_a_temporary_file_goes_with_its_lease(provider: FileProvider, tmp_path: Path) -> None:
    async with await provider.create_temp_file("t", 100, directory=tmp_path, suffix=".json") as file:
        assert os.listdir(tmp_path) == []  # nobody has asked for its path
        assert os.fstat(file.fd).st_size == 100
        name = os.path.basename(file.path)
        assert os.listdir(tmp_path) == [name]
        assert name.startswith("framework-")
        assert name.endswith(".json")
        assert file.path == str(tmp_path / name)
        assert os.stat(file.path).st_mode & 0o7777 == 0o600
        assert os.path.getsize(file.path) == 100
    assert os.listdir(tmp_path) == []


async def test_the_directory_is_the_systems_unless_configured(tmp_path: Path, provider: FileProvider) -> None:
    async with await provider.create_temp_file("t") as file:
        assert os.path.dirname(file.path) == os.path.realpath(tempfile.gettempdir())
    configured = FileProvider(temp_directory=str(tmp_path))
    await configured.initialize()
    async with await configured.create_temp_file("t") as file:
        assert os.path.dirname(file.path) == str(tmp_path)


async def test_a_kept_file_replaces_what_was_there_and_stays(provider: FileProvider, tmp_path: Path) -> None:
    target = tmp_path / "final"
    target.write_bytes(b"old")
    async with await provider.create_temp_file("t", directory=tmp_path) as file:
        file.open().write(b"new")  # neither flushed nor closed
        assert target.read_bytes() == b"old"
        await file.keep_as(target)
        assert target.read_bytes() == b"new"
        assert file.path == str(target)
        assert os.listdir(tmp_path) == ["final"]
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["final"]


async def test_a_database_written_by_its_path_is_published_whole(provider: FileProvider, tmp_path: Path) -> None:
    async with await provider.create_temp_file("t", directory=tmp_path, suffix=".sqlite") as file:
        database = sqlite3.connect(file.path)
        database.execute("create table seen (path text)")
        database.executemany("insert into seen values (?)", [(str(number),) for number in range(5000)])
        database.commit()
        database.close()
        await file.keep_as(tmp_path / "catalogue.sqlite")
    database = sqlite3.connect(tmp_path / "catalogue.sqlite")
    assert database.execute("select count(*) from seen").fetchone() == (5000,)
    database.close()
    assert os.listdir(tmp_path) == ["catalogue.sqlite"]


async def test_a_file_is_kept_once(provider: FileProvider, tmp_path: Path) -> None:
    file = await provider.create_temp_file("t", directory=tmp_path)
    await file.keep_as(tmp_path / "a")
    with pytest.raises(LeaseStateError, match="was kept as"):
        await file.keep_as(tmp_path / "b")
    await file.release()
    with pytest.raises(LeaseStateError, match="was released"):
        await file.keep_as(tmp_path / "b")
    assert os.listdir(tmp_path) == ["a"]


async def test_a_file_that_was_replaced_is_not_kept(provider: FileProvider, tmp_path: Path) -> None:
    file = await provider.create_temp_file("t", directory=tmp_path)
    os.unlink(file.path)
    Path(file.path).write_bytes(b"stranger")
    with pytest.raises(ResourceUnavailableError, match="is not the file that was created"):
        await file.keep_as(tmp_path / "final")
    assert not (tmp_path / "final").exists()


async def test_a_file_that_is_released_meanwhile_is_not_kept(provider: FileProvider, tmp_path: Path) -> None:
    file = await provider.create_temp_file("t", directory=tmp_path)
    keeping = asyncio.create_task(file.keep_as(tmp_path / "final"))
    await asyncio.sleep(0)  # it is being written to disk now
    await file.release()
    with pytest.raises(LeaseStateError):
        await keeping
    assert os.listdir(tmp_path) == []


async def test_a_cancelled_keep_leaves_the_file_temporary_or_kept(provider: FileProvider, tmp_path: Path) -> None:
    file = await provider.create_temp_file("t", directory=tmp_path)
    keeping = asyncio.create_task(file.keep_as(tmp_path / "final"))
    await asyncio.sleep(0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert os.listdir(tmp_path) == []
    assert [os.path.basename(file.path)] == os.listdir(tmp_path)
    await file.release()
    assert os.listdir(tmp_path) == []
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_directory_cannot_be_replaced(provider: FileProvider, tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    async with await provider.create_temp_file("t", directory=tmp_path) as file:
        with pytest.raises(ResourceUnavailableError, match=r"cannot be kept as .*: is a directory"):
            await file.keep_as(tmp_path / "final")
        assert os.path.exists(file.path)
    assert os.listdir(tmp_path) == ["final"]


async def test_a_pipe_is_not_replaced(provider: FileProvider, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "final")
    async with await provider.create_temp_file("t", directory=tmp_path) as file:
        with pytest.raises(ResourceUnavailableError, match=r"cannot be kept as .*: what is there is not a file"):
            await file.keep_as(tmp_path / "final")
        assert os.path.exists(file.path)
    assert stat.S_ISFIFO(os.stat(tmp_path / "final").st_mode)


async def test_another_file_system_is_refused_with_the_way_out(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "tmpfs",
        "size=1m",
        """
        async def main():
            provider = await ready()
            async with await provider.create_temp_file("t", directory=os.path.dirname(where)) as file:
                report(refused=await refused(file.keep_as(where + "/final")), left=os.listdir(where))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert "cross-device link" in found["refused"][1]
    assert "directory= set to the directory where it shall end up" in found["refused"][1]
    assert found["left"] == []


async def test_keeping_outside_the_roots_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    provider = FileProvider(roots=[str(inside)])
    await provider.initialize()
    async with await provider.create_temp_file("t", directory=inside) as file:
        with pytest.raises(PolicyError, match="outside the allowed"):
            await file.keep_as(inside / ".." / "final")
        await file.keep_as(inside / "final")
    assert sorted(os.listdir(tmp_path)) == ["inside"]
    assert os.listdir(inside) == ["final"]


async def test_the_roots_hold_for_asked_directories_but_not_for_the_configured_one(tmp_path: Path) -> None:
    inside, scratch = tmp_path / "inside", tmp_path / "scratch"
    inside.mkdir()
    scratch.mkdir()
    provider = FileProvider(roots=[str(inside)], temp_directory=str(scratch))
    await provider.initialize()
    async with await provider.create_temp_file("t") as file:
        assert os.path.dirname(file.path) == str(scratch)
    with pytest.raises(PolicyError):
        await provider.create_temp_file("t", directory=scratch)
    unconfigured = FileProvider(roots=[str(inside)])
    await unconfigured.initialize()
    with pytest.raises(PolicyError):
        await unconfigured.create_temp_file("t")


@pytest.mark.parametrize("suffix", ["/x", "../../x", "a\0", "\ud800", "x" * 51])
async def test_a_suffix_cannot_lead_elsewhere(provider: FileProvider, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InvalidRequestError):
        await provider.create_temp_file("t", directory=tmp_path, suffix=suffix)
    assert os.listdir(tmp_path) == []


async def test_a_directory_that_is_none_is_refused(provider: FileProvider, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="not empty"):
        await provider.create_temp_file("t", directory="")
    with pytest.raises(ResourceUnavailableError, match="no such file or directory"):
        await provider.create_temp_file("t", directory=tmp_path / "missing")


async def test_without_threads_it_is_not_kept_and_can_be_later(run: Script, tmp_path: Path) -> None:
    found = run(
        """
        import resource
        async def main():
            file = await (await ready()).create_temp_file("t", 10, directory=where)
            former, before = resource.getrlimit(resource.RLIMIT_AS), len(os.listdir("/proc/self/fd"))
            with open("/proc/self/statm") as pages:
                room = int(pages.read().split()[0]) * resource.getpagesize() + (1 << 20)  # less than a stack
            resource.setrlimit(resource.RLIMIT_AS, (room, former[1]))
            answer = await refused(file.keep_as(where + "/final"))
            resource.setrlimit(resource.RLIMIT_AS, former)
            opened, names = len(os.listdir("/proc/self/fd")) - before, everything()
            await file.keep_as(where + "/final")
            await file.release()
            report(answer=answer, opened=opened, names=names, left=everything())
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["answer"][0] == "ResourceLimitError"
    assert "Release threads" in found["answer"][1]
    assert (found["opened"], found["names"], found["left"]) == (0, [], ["final"])


async def test_a_forked_child_gives_its_parents_file_no_name(run: Script, tmp_path: Path) -> None:
    """The parent would not know of it, and nobody would ever remove it."""
    found = run(
        """
        async def main():
            file = await (await ready()).create_temp_file("t", 10, directory=where)
            if (child := os.fork()) == 0:
                try:
                    file.path
                except FrameworkError as error:
                    report(answer=[type(error).__name__, str(error)], left=everything())
                os._exit(0)
            os.waitpid(child, 0)
            await file.release()
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["answer"][0] == "LeaseStateError"
    assert "held by the process that this one was forked from" in found["answer"][1]
    assert found["left"] == []
    assert os.listdir(tmp_path) == []
