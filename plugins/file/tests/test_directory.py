from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.errors import (
    InvalidRequestError,
    LeaseStateError,
    PolicyError,
    ResourceUnavailableError,
)
from plugin_file import FileProvider

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


async def test_it_is_private_and_goes_with_all_that_is_in_it(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "d"
    async with await provider.create_directory("d", path) as folder:
        assert folder.path == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        (path / "inner" / "most").mkdir(parents=True)
        (path / "inner" / "file").write_bytes(b"x")
        os.mkfifo(path / "pipe")
        with open("file", "wb", opener=lambda name, flags: os.open(name, flags, dir_fd=folder.fd)):
            pass
        assert sorted(os.listdir(folder.fd)) == ["file", "inner", "pipe"]
    assert os.listdir(tmp_path) == []
    with pytest.raises(LeaseStateError, match="was released"):
        _ = folder.fd


async def test_without_a_path_it_is_where_temporary_things_go(provider: FileProvider, tmp_path: Path) -> None:
    async with await provider.create("file.directory") as folder:
        assert os.path.dirname(folder.path) == os.path.realpath(tempfile.gettempdir())  # type: ignore[attr-defined]
    configured = FileProvider(roots=["/nowhere"], temp_directory=str(tmp_path))
    await configured.initialize()
    async with await configured.create("file.directory"):
        (name,) = os.listdir(tmp_path)
        assert name.startswith("framework-")
    assert os.listdir(tmp_path) == []


async def test_a_persistent_one_stays_and_needs_a_path(provider: FileProvider, tmp_path: Path) -> None:
    async with await provider.create_directory("d", tmp_path / "d", persistent=True) as folder:
        Path(folder.path, "file").write_bytes(b"x")
    assert (tmp_path / "d" / "file").read_bytes() == b"x"
    with pytest.raises(InvalidRequestError, match="persistent=True without a path"):
        await provider.create_directory("d", persistent=True)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling"])
async def test_what_is_there_already_is_left_alone(
    provider: FileProvider, tmp_path: Path, kind: str, journalled: Callable[[], list[str]]
) -> None:
    path = tmp_path / "d"
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(ResourceUnavailableError, match=r"Choose another path"):
        await provider.create_directory("d", path)
    assert os.listdir(tmp_path) == ["d"]
    assert journalled() == []


async def test_a_link_inside_is_removed_and_not_what_it_leads_to(provider: FileProvider, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    async with await provider.create_directory("d", tmp_path / "d") as folder:
        os.symlink(outside, os.path.join(folder.path, "link"))
        os.mkdir(os.path.join(folder.path, "inner"))
        os.symlink("../../outside", os.path.join(folder.path, "inner", "link"))
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "precious").read_bytes() == b"precious"


async def test_however_deep_it_is_removed(provider: FileProvider, tmp_path: Path) -> None:
    async with await provider.create_directory("d", tmp_path / "d") as folder:
        inner = os.open(".", os.O_RDONLY, dir_fd=folder.fd)
        for _ in range(3000):  # deeper than any path, stack or table of descriptors
            os.mkdir("x", dir_fd=inner)
            deeper = os.open("x", os.O_RDONLY, dir_fd=inner)
            os.close(inner)
            inner = deeper
        os.close(inner)
    assert os.listdir(tmp_path) == []


async def test_many_entries_let_others_run(provider: FileProvider, tmp_path: Path) -> None:
    folder = await provider.create_directory("d", tmp_path / "d")
    for number in range(1000):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=folder.fd))
    turns = 0
    releasing = asyncio.create_task(folder.release())
    while not releasing.done():
        turns += 1
        await asyncio.sleep(0)
    await releasing
    assert turns > 4
    assert os.listdir(tmp_path) == []


@pytest.fixture
def theirs(as_nobody: tuple[str, ...]) -> Iterator[Path]:
    """A directory of the user `nobody`, which every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        yield Path(folder)


async def test_directories_without_rights_are_removed_too(
    run: Script, theirs: Path, as_nobody: tuple[str, ...]
) -> None:
    found = run(
        """
        async def main():
            folder = await (await ready()).create_directory("d", where + "/d")
            os.makedirs(folder.path + "/a/b/c")
            for name in ("/a/b/c", "/a/b", "/a", ""):
                os.chmod(folder.path + name, 0o500 if name != "/a/b/c" else 0)
            refusal = await refused(folder.release())
            report(refused=refusal, left=os.listdir(where))
        asyncio.run(main())
        """,
        theirs,
        prefix=as_nobody,
    )
    assert found == {"refused": ["accepted", ""], "left": []}


@pytest.mark.parametrize("what", ["another file system", "another part of the same one"])
async def test_what_is_mounted_inside_is_not_touched_and_the_release_can_be_tried_again(
    run_on: Script, tmp_path: Path, what: str
) -> None:
    found = run_on(
        "tmpfs",
        "size=1m",
        """
        import shutil, subprocess
        async def main():
            folder = await (await ready()).create_directory("d", where + "/d")
            inner = folder.path + "/mounted"
            os.mkdir(inner)
            foreign = where + "/foreign"
            os.mkdir(foreign)
            how = ["-t", "tmpfs", "tmpfs"] if WHAT == "another file system" else ["--bind", foreign]
            subprocess.run(["mount", *how, inner], check=True)
            os.mkdir(inner + "/folder")
            with open(inner + "/precious", "w"):
                pass
            first = await refused(folder.release())
            kept, status = sorted(os.listdir(inner)), folder.status.value
            subprocess.run(["umount", inner], check=True)
            again = await refused(folder.release())
            shutil.rmtree(foreign)
            report(first=first, kept=kept, status=status, again=again, left=everything())
        asyncio.run(main())
        """.replace("WHAT", repr(what)),
        tmp_path,
    )
    assert found["first"][0] == ResourceUnavailableError.__name__
    assert "another file system is mounted inside" in found["first"][1]
    assert (found["kept"], found["status"]) == (["folder", "precious"], "error")
    assert (found["again"], found["left"]) == (["accepted", ""], [])


@pytest.mark.parametrize("what", ["nothing", "directory", "link", "file"])
async def test_one_that_was_moved_away_is_left_alone_as_is_what_took_its_place(
    provider: FileProvider, tmp_path: Path, what: str
) -> None:
    folder = await provider.create_directory("d", tmp_path / "d")
    Path(folder.path, "file").write_bytes(b"x")
    os.rename(folder.path, tmp_path / "moved")
    if what == "directory":
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "precious").write_bytes(b"precious")
    elif what == "link":
        (tmp_path / "d").symlink_to("moved")
    elif what == "file":
        (tmp_path / "d").write_bytes(b"precious")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    await folder.release()
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    assert not folder.is_allocated()


async def test_a_directory_that_vanished_is_released_quietly(provider: FileProvider, tmp_path: Path) -> None:
    folder = await provider.create_directory("d", tmp_path / "d")
    os.rmdir(folder.path)
    await folder.release()
    assert not folder.is_allocated()


async def test_outside_the_roots_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    provider = FileProvider(roots=[str(tmp_path / "inside")])
    await provider.initialize()
    with pytest.raises(PolicyError, match="outside the allowed"):
        await provider.create_directory("d", tmp_path / "inside" / ".." / "d")
    async with await provider.create_directory("d", tmp_path / "inside" / "d"):
        assert os.listdir(tmp_path / "inside") == ["d"]


async def test_no_room_no_rights_and_a_read_only_disk_are_errors(run_on: Script, tmp_path: Path) -> None:
    for options, cause in (("nr_inodes=1", "no space left on device"), ("ro", "read-only file system")):
        found = run_on(
            "tmpfs",
            options,
            """
            async def main():
                provider = await ready(temp_directory=where)
                chosen = await refused(provider.create_directory("d", where + "/d"))
                report(chosen=chosen, private=await refused(provider.create_directory("d")), left=everything())
            asyncio.run(main())
            """,
            tmp_path,
        )
        for name, text in (found["chosen"], found["private"]):
            assert name == ResourceUnavailableError.__name__
            assert cause in text
        assert found["left"] == []


async def test_somebody_who_exchanges_directories_for_links_leads_nothing_astray(
    provider: FileProvider, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(50):
        (outside / str(number)).write_bytes(b"precious")
    done = threading.Event()

    def exchange(top: str) -> None:
        while not done.is_set():
            for name in "abc":
                path = os.path.join(top, name)
                try:
                    os.rename(path, path + "-moved")
                    os.symlink(outside, path)
                    os.unlink(path)
                    os.rename(path + "-moved", path)
                except OSError:
                    continue

    for _ in range(20):
        folder = await provider.create_directory("d", tmp_path / "d")
        for name in "abc":
            os.makedirs(os.path.join(folder.path, name, "inner"))
            for number in range(20):
                Path(folder.path, name, str(number)).write_bytes(b"x")
        done.clear()
        thread = threading.Thread(target=exchange, args=(folder.path,))
        thread.start()
        with contextlib.suppress(ResourceUnavailableError):  # it was changed all the time; tried again below
            await folder.release()
        done.set()
        thread.join()
        await folder.release()
        assert not folder.is_allocated()
        assert os.listdir(tmp_path) == ["outside"]
    assert sorted(os.listdir(outside), key=int) == [str(number) for number in range(50)]
