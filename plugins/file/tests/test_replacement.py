from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, LeaseStateError, PolicyError, ResourceUnavailableError
from plugin_file import FileProvider, ReplacementFile

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


async def replacement(provider: FileProvider, path: Path, size: int = 0) -> ReplacementFile:
    file = await provider.create_local_file("r", path, size, replace=True)
    assert isinstance(file, ReplacementFile)
    return file


async def test_the_old_content_stays_until_the_commit_and_the_new_after_it(
    provider: FileProvider, tmp_path: Path
) -> None:
    path = tmp_path / "settings"
    path.write_bytes(b"old")
    async with await replacement(provider, path) as file:
        file.open().write(b"new")  # neither flushed nor closed
        assert file.path == str(path)
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["settings"]
        await file.commit()
        assert path.read_bytes() == b"new"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["settings"]


async def test_without_a_commit_nothing_has_happened(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_bytes(b"old")
    async with await replacement(provider, path, 100) as file:
        file.open().write(b"new")
    assert path.read_bytes() == b"old"
    async with await replacement(provider, tmp_path / "other"):
        pass
    assert os.listdir(tmp_path) == ["settings"]


async def test_where_nothing_was_the_new_file_is_for_this_user_alone(provider: FileProvider, tmp_path: Path) -> None:
    async with await replacement(provider, tmp_path / "a", 5) as file:
        await file.commit()
    found = (tmp_path / "a").stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode)) == (5, 0o600)


async def test_it_gets_the_permissions_of_what_it_replaces(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o644)
    async with await replacement(provider, path) as file:
        await file.commit()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_it_is_committed_once(provider: FileProvider, tmp_path: Path) -> None:
    file = await replacement(provider, tmp_path / "a")
    await file.commit()
    with pytest.raises(LeaseStateError, match="was kept as"):
        await file.commit()
    await file.release()
    with pytest.raises(LeaseStateError, match="was released"):
        await file.commit()


async def test_a_link_is_replaced_and_not_what_it_leads_to(provider: FileProvider, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "a").symlink_to("precious")
    async with await replacement(provider, tmp_path / "a") as file:
        await file.commit()
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["directory", "pipe"])
async def test_what_is_not_a_file_is_not_replaced_and_the_commit_can_be_tried_again(
    provider: FileProvider, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a"
    async with await replacement(provider, path) as file:
        path.mkdir() if kind == "directory" else os.mkfifo(path)
        with pytest.raises(ResourceUnavailableError, match="cannot be kept as"):
            await file.commit()
        path.rmdir() if kind == "directory" else path.unlink()
        await file.commit()
    assert os.listdir(tmp_path) == ["a"]


async def test_persistent_has_nothing_to_add(provider: FileProvider, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"both persistent=True and replace=True"):
        await provider.create_local_file("a", tmp_path / "a", persistent=True, replace=True)


async def test_outside_the_roots_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    provider = FileProvider(roots=[str(tmp_path / "inside")])
    await provider.initialize()
    with pytest.raises(PolicyError):
        await replacement(provider, tmp_path / "a")


async def test_a_directory_that_was_exchanged_meanwhile_gets_nothing(provider: FileProvider, tmp_path: Path) -> None:
    inner, outside = tmp_path / "inner", tmp_path / "outside"
    inner.mkdir()
    outside.mkdir()
    file = await replacement(provider, inner / "a")
    inner.rename(tmp_path / "moved")
    inner.symlink_to(outside)
    with pytest.raises(ResourceUnavailableError):
        await file.commit()
    assert os.listdir(outside) == os.listdir(tmp_path / "moved") == []
    await file.release()


async def test_a_reader_sees_the_old_or_the_new_and_never_a_part(provider: FileProvider, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0" * 100_000)
    done = threading.Event()
    torn: list[bytes] = []

    def read() -> None:
        while not done.is_set():
            content = path.read_bytes()
            if len(content) != 100_000 or len(set(content)) != 1:
                torn.append(content)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 20):
        async with await replacement(provider, path) as file:
            file.open().write(str(number % 10).encode() * 100_000)
            await file.commit()
    done.set()
    reader.join()
    assert torn == []


async def test_a_full_disk_leaves_the_old_content(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "tmpfs",
        "size=1m",
        """
        async def main():
            provider = await ready()
            with open(where + "/a", "w") as old:
                old.write("old")
            async with await provider.create_local_file("r", where + "/a", replace=True) as file:
                handle = file.open()
                handle.write(b"x" * 4000)
                filler = open(where + "/filler", "wb", buffering=0)
                try:
                    while True:
                        filler.write(b"x" * 4096)
                except OSError:
                    pass
                refusal = await refused(file.commit())
                filler.truncate(0)
            with open(where + "/a") as old:
                report(refused=refusal, text=old.read(), left=sorted(os.listdir(where)))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert "no space left on device" in found["refused"][1]
    assert (found["text"], found["left"]) == ("old", ["a", "filler"])
